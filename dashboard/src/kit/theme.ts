/** Light or dark: as the system says, unless the person chose; the choice stays in this browser. */
import { effect, signal } from '@preact/signals';

const KEY = 'telemetry-hub.theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const chosen = signal(localStorage.getItem(KEY));
const systemDark = signal(system.matches);
system.addEventListener('change', ({ matches }) => {
  systemDark.value = matches;
});

export const theme = signal<'light' | 'dark'>('light');
effect(() => {
  const dark = chosen.value === null ? systemDark.value : chosen.value === 'dark';
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  theme.value = dark ? 'dark' : 'light';
});

/** Changes to the other one and remembers it. */
export function toggleTheme(): void {
  chosen.value = theme.value === 'dark' ? 'light' : 'dark';
  localStorage.setItem(KEY, chosen.value);
}

/** The value of a colour of the style sheet, for canvases. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
