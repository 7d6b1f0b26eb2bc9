/** The address that signs a browser in. Pure. */

/** Every address of a machine, which is no address to go to. */
const ANYWHERE = /^(?:0\.0\.0\.0|\[::\])$/;

/** The code stands behind the #, so that no server, proxy or log on the way sees it. `api`: where the hub is reached. */
export function signInUrl(api: string, link: string): string {
  const url = new URL('/', api);
  if (ANYWHERE.test(url.hostname)) url.hostname = 'localhost';
  url.hash = `/sign-in?link=${encodeURIComponent(link)}`;
  return url.href;
}
