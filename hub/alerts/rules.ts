/** The rules in force: those of the configuration, and those that operators add while the hub runs. */
import type { Table } from '../backplane/backplane.ts';
import { Conflict, RefusedError, RefusedMember } from '../kit/errors.ts';
import { type Rule, type RuleContext, type RuleDetails, ruleOf } from './rule.ts';

/** A rule of the configuration. */
export type ConfiguredRule = RuleDetails & { id: string };

export interface Rules {
  /** In the order of their names. */
  list(): Rule[];
  get(id: string): Rule | undefined;
  /** Durable when it resolves. Throws `RefusedError` (invalid, exists, not-found: a device, too-many-rules). */
  add(id: string, details: RuleDetails): Promise<Rule>;
  /** Changes what is named; `null` takes it away. Throws `RefusedError` (invalid, not-found, configured, conflict). */
  change(id: string, change: RuleChange): Promise<Rule>;
  /** Throws `RefusedError` (not-found, configured). */
  remove(id: string): Promise<void>;
  /** Called after each durable change; undefined: it is gone. */
  onChange(listener: (id: string, rule: Rule | undefined) => void): void;
}

export type RuleChange = { [K in keyof RuleDetails]?: RuleDetails[K] | null };

interface Deps {
  configured: readonly ConfiguredRule[];
  table: Table<RuleDetails>;
  context: RuleContext;
  /** Whether there is such a device; any without it. */
  deviceExists?(id: string): boolean;
}

/** By their names. Throws `RefusedMember` (invalid). */
function configuredRules(configured: readonly ConfiguredRule[], context: RuleContext): Map<string, Rule> {
  const rules = new Map<string, Rule>();
  for (const rule of configured) rules.set(rule.id, configuredRule(rule, rules, context));
  return rules;
}

function configuredRule(
  { id, ...details }: ConfiguredRule,
  others: { has(id: string): boolean },
  context: RuleContext,
) {
  if (others.has(id))
    throw new RefusedMember('invalid', '/id', `There are two rules "${id}" in the configuration.`, `is "${id}" again`);
  return ruleOf(id, details, 'configuration', context);
}

/** What is wrong with the rules of the configuration: of each the first thing, by the rule's place among them. */
export function faultsOfConfigured(
  configured: readonly ConfiguredRule[],
  context: RuleContext,
): { index: number; member: string; fault: string }[] {
  const ids = new Set<string>();
  return configured.flatMap((rule, index) => {
    try {
      configuredRule(rule, ids, context);
      return [];
    } catch (error) {
      if (!(error instanceof RefusedMember)) throw error;
      return [{ index, member: error.member, fault: error.fault }];
    } finally {
      ids.add(rule.id);
    }
  });
}

/** Rules of both origins together. */
export const MAX_RULES = 200;

/**
 * Throws `RefusedError` (invalid) for a rule of the configuration that cannot be. A stored rule that no longer fits (its
 * stream is gone) stays stored, and is told to `onUnfit` and left out; so is one whose name the configuration has taken.
 */
export function createRules(
  { configured, table, context, deviceExists = () => true }: Deps,
  onUnfit: (id: string, reason: string) => void = () => {},
): Rules {
  const fixed = configuredRules(configured, context);
  const added = new Map<string, Rule>();
  for (const { key, value } of table.values()) {
    if (fixed.has(key)) onUnfit(key, 'the configuration has a rule of this name');
    else takeUp(key, value);
  }

  function takeUp(id: string, details: RuleDetails): void {
    try {
      added.set(id, ruleOf(id, details, 'api', context));
    } catch (error) {
      onUnfit(id, (error as Error).message);
    }
  }

  const listeners: ((id: string, rule: Rule | undefined) => void)[] = [];
  table.onChange((id, row) => {
    if (fixed.has(id)) return;
    added.delete(id);
    if (row) takeUp(id, row.value);
    for (const listener of listeners) listener(id, added.get(id));
  });

  /** Who names a device that is not there has mistyped it; that it goes later is no mistake. */
  function checkDevices({ selector }: RuleChange): void {
    const missing = selector?.devices?.find((id) => !deviceExists(id));
    if (missing === undefined) return;
    throw new RefusedMember('not-found', '/selector/devices', `There is no device "${missing.slice(0, 80)}".`);
  }

  function changeable(id: string) {
    if (fixed.has(id)) refuse('configured', `The rule "${id}" is in the configuration: change it there.`);
    return table.get(id) ?? refuse('not-found', `There is no rule "${id.slice(0, 80)}".`);
  }

  return {
    list: () => [...fixed.values(), ...added.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    get: (id) => fixed.get(id) ?? added.get(id),
    async add(id, details) {
      const rule = ruleOf(id, details, 'api', context);
      checkDevices(details);
      if (fixed.has(id)) exists(`There is a rule "${id}" in the configuration.`);
      if (fixed.size + table.size >= MAX_RULES) refuse('too-many-rules', `There are ${MAX_RULES} rules already.`);
      try {
        await table.set(id, details, 0);
      } catch (error) {
        if (error instanceof Conflict) exists(`There is a rule "${id}" already.`);
        throw error;
      }
      return rule;
    },
    async change(id, change) {
      const row = changeable(id);
      const merged = Object.entries({ ...row.value, ...change }).filter(([, value]) => value !== null);
      const details = Object.fromEntries(merged) as unknown as RuleDetails;
      const rule = ruleOf(id, details, 'api', context);
      checkDevices(change);
      try {
        await table.set(id, details, row.revision);
      } catch (error) {
        if (error instanceof Conflict) refuse('conflict', `The rule "${id}" was changed by somebody else; look again.`);
        throw error;
      }
      return rule;
    },
    async remove(id) {
      changeable(id);
      await table.delete(id);
    },
    onChange: (listener) => void listeners.push(listener),
  };
}

function refuse(code: 'invalid' | 'not-found' | 'configured' | 'conflict' | 'too-many-rules', detail: string): never {
  throw new RefusedError(code, detail);
}

function exists(detail: string): never {
  throw new RefusedMember('exists', '/id', detail);
}
