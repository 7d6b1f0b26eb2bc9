/** Which methods an address of the API takes, for those who come with another. Pure. */
import type { Route } from './route.ts';

/** The function that tells the methods of a path as it was requested, without its query; none where no route is. */
export function methodsOf(routes: readonly Pick<Route, 'method' | 'path' | 'noHead'>[]): (path: string) => string[] {
  const known = routes.map(({ method, path, noHead }) => ({
    parts: path.split('/'),
    methods: method === 'GET' && !noHead ? ['GET', 'HEAD'] : [method],
  }));
  return (path) => {
    const asked = path.split('/');
    const fits = (parts: string[]) =>
      parts.length === asked.length && parts.every((part, at) => part === asked[at] || (part[0] === ':' && asked[at]));
    return [...new Set(known.flatMap(({ parts, methods }) => (fits(parts) ? methods : [])))];
  };
}
