/** Topic patterns of rules: levels as they are, `{names}` that stand for one level each, and MQTT's `+` and `#`. Pure. */
import { faultOfText } from '../link/topic-name.ts';

/** What the named levels of a topic hold. */
export type Captures = Readonly<Record<string, string>>;

export interface TopicPattern {
  /** What is subscribed to. */
  filter: string;
  names: readonly string[];
  /** Undefined when the topic does not fit. */
  match(topic: string): Captures | undefined;
}

const NAME = /^\{([A-Za-z][A-Za-z0-9_]{0,31})\}$/;

/** The pattern, or the sentence that says what is wrong with the text. */
export function compilePattern(text: string): TopicPattern | string {
  const levels = text.split('/');
  const names = levels.flatMap((level) => NAME.exec(level)?.[1] ?? []);
  const mistake = mistakeIn(text, levels, names);
  if (mistake) return mistake;
  const compiled = levels.map(levelOf);
  const filter = compiled.map(({ text: level, name }) => (name === undefined ? level : '+')).join('/');
  return { filter, names, match: (topic: string) => match(compiled, topic) };
}

function mistakeIn(text: string, levels: string[], names: string[]): string | undefined {
  const fault = faultOfText(text);
  if (fault) return fault;
  if (levels[0] === '$share') return 'is a shared subscription, of which other programs would get a part';
  if (levels.slice(0, -1).includes('#')) return 'has levels after #, which stands for all that follow';
  for (const level of levels) {
    if (level === '+' || level === '#' || NAME.test(level)) continue;
    if (/[+#]/.test(level)) return `has a wildcard within the level "${level}"; + and # stand for whole levels`;
    if (/[{}]/.test(level)) return `has braces within the level "${level}"; a {name} stands for a whole level`;
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice && `names {${twice}} twice`;
}

/** One level: a name to be filled, a wildcard, or a text to be met. */
interface Level {
  text: string;
  name?: string;
}

function levelOf(text: string): Level {
  const name = NAME.exec(text)?.[1];
  return name === undefined ? { text } : { text, name };
}

function match(levels: readonly Level[], topic: string): Captures | undefined {
  const parts = topic.split('/');
  // A wildcard at the beginning leaves out the broker's own topics.
  if (topic.startsWith('$') && levels[0]!.text !== parts[0]) return undefined;
  const captures: Record<string, string> = {};
  for (let index = 0; index < levels.length; index++) {
    const { text, name } = levels[index]!;
    if (text === '#') return captures;
    const part = parts[index];
    if (part === undefined) return undefined;
    if (name !== undefined) captures[name] = part;
    else if (text !== '+' && text !== part) return undefined;
  }
  return parts.length === levels.length ? captures : undefined;
}
