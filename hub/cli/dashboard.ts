/** The verb of the dashboard: a link that signs a browser in once. */
import type { Command } from 'commander';
import { signInUrl } from '../api/sign-in-link.ts';
import { spanText } from '../kit/span.ts';
import type { AddVerb, Session } from './session.ts';

/** Adds `hub dashboard`. */
export function registerDashboard(program: Command, verb: AddVerb): void {
  verb(program, 'dashboard', 'Prints a link that opens the dashboard and signs a browser in, once.', printLink, [
    'hub dashboard',
    'xdg-open "$(hub dashboard)"',
  ]).option('--json', 'as JSON');
}

async function printLink({ client, options, print, hint }: Session) {
  const { link, expiresAt } = await client.json<{ link: string; expiresAt: number }>('POST', '/v1/session/links');
  const url = signInUrl(client.url, link);
  print(options.json ? JSON.stringify({ url, expiresAt }, undefined, 2) : url);
  if (!options.json)
    hint(`It works once, within ${spanText(expiresAt - Date.now())}, and signs in as the owner of the token.`);
}
