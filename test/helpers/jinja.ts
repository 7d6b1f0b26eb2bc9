/** Fills in templates of Home Assistant with Jinja itself, as Home Assistant does. */
import { execFileSync } from 'node:child_process';

/** What Home Assistant adds to Jinja and the hub's templates use is Jinja's own: nothing but `this` is given. */
const PROGRAM = `
import json, sys
from jinja2.sandbox import ImmutableSandboxedEnvironment
asked = json.load(sys.stdin)
environment = ImmutableSandboxedEnvironment()
print(environment.from_string(asked["template"]).render(**asked["given"]), end="")
`;

/** The text that a `value_template` makes of a message, or a `command_template` of a value. */
export function render(template: string, given: Record<string, unknown>): string {
  const input = JSON.stringify({ template, given });
  return execFileSync('/usr/bin/python3', ['-c', PROGRAM], { input, encoding: 'utf8' });
}

/** With what Home Assistant gives to a `value_template`. */
export const renderPayload = (template: string, payload: string, state = 'unknown') =>
  render(template, { value: payload, value_json: parsed(payload), this: { state } });

function parsed(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}
