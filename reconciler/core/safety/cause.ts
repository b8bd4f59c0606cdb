/**
 * Finds the common cause of a burst (docs/reference/safety.md#common-cause). Pure. A value that
 * nearly all sessions share explains the burst if the rest of the fleet does not share it, or if it
 * is new in the fleet: a new rule, release or driver is suspected before the hardware.
 */
import { ruleKey } from "../../../health/policy/compile.ts";
import type { Node } from "../../../schema/node.ts";
import type { Judgement } from "../../../schema/policy.ts";
import type { Cause } from "../../../schema/safety.ts";
import { isEvident } from "./evident.ts";
import { domainsOf } from "./scope.ts";

type Attribute = Cause["attribute"];

/** docs/reference/safety.md#common-cause */
const SHARE_OF_SESSIONS = 0.8;
const SHARE_OF_NODES = 0.5;
/** How long a value counts as new: a roll-out takes hours, and its damage shows under load. */
const NEW_MS = 24 * 3_600_000;
/** Fewer sessions may share a value by chance. */
const SESSIONS_MIN = 3;
/** A rule needs more sessions, or a new rule would be suspended for the first rack that fails. */
const RULE_SESSIONS_MIN = 4;
const RULE_SHARE_MIN = 0.02;

/** Most specific first: a bad rule explains more than the zone of its nodes. */
const ATTRIBUTES: readonly Attribute[] = ["rule", "driver", "agent", "rack", "zone", "provider"];

/** Version of the rule behind a judgement; older releases stored only the policy's hash. */
export function ruleKeyOf(judgement: Judgement): string {
  return ruleKey(judgement.rule, judgement.version ?? judgement.policyHash);
}

/** A node's values of an attribute; several rules may judge one node unhealthy. */
export function valuesOf(node: Node, attribute: Attribute): string[] {
  switch (attribute) {
    case "rule":
      return [
        ...new Set(
          node.health.held
            .filter((held) => held.judgement.result === "unhealthy")
            .map((held) => ruleKeyOf(held.judgement)),
        ),
      ];
    case "agent":
      return node.agent === null ? [] : [node.agent.version];
    case "driver": {
      const driver = node.agent?.inventory.driver_version ?? null;
      return driver === null ? [] : [driver];
    }
    case "zone":
    case "rack":
    case "provider":
      return domainsOf(node)
        .filter((domain) => domain.startsWith(`${attribute}:`))
        .map((domain) => domain.slice(attribute.length + 1));
  }
}

/** Whether the node shares the cause of a breaker. */
export function explains(cause: Cause | null, node: Node): boolean {
  return cause !== null && valuesOf(node, cause.attribute).includes(cause.value);
}

/**
 * The cause of a burst, or `null`. `sick` are the nodes of the burst, `all` those of the scope;
 * `seenAt` is when a value was first seen (`null` = always known).
 */
export function attribute(
  sick: readonly Sick[],
  all: readonly Node[],
  seenAt: (attribute: Attribute, value: string) => number | null,
): Cause | null {
  for (const name of ATTRIBUTES) {
    // Evident faults do not depend on a rule.
    const burst = name === "rule" ? sick.filter(({ node }) => !isEvident(node)) : sick;
    const least =
      name === "rule" ? Math.max(RULE_SESSIONS_MIN, all.length * RULE_SHARE_MIN) : SESSIONS_MIN;
    if (burst.length < least) continue;
    for (const [value, sharing] of valuesAmong(burst, name)) {
      const ofSessions = sharing.length / burst.length;
      if (ofSessions < SHARE_OF_SESSIONS) continue;
      const ofNodes =
        all.filter((node) => valuesOf(node, name).includes(value)).length / Math.max(1, all.length);
      const since = seenAt(name, value);
      // Sessions before the value appeared have another cause.
      const after = sharing.filter((one) => since !== null && one.openedAt >= since);
      const soon = after.some((one) => since !== null && one.openedAt - since < NEW_MS);
      const isNew = soon && after.length / burst.length >= SHARE_OF_SESSIONS;
      // Some rule judges every sick node, so only a new rule is suspect. A place is a cause only if
      // most of the scope is outside it.
      const spared = name !== "rule" && ofNodes < SHARE_OF_NODES;
      if (isNew || spared) return { attribute: name, value, ofSessions, ofNodes };
    }
  }
  return null;
}

/** One node of a burst, and when its session opened. */
export type Sick = { node: Node; openedAt: number };

function valuesAmong(burst: readonly Sick[], name: Attribute): Map<string, Sick[]> {
  const found = new Map<string, Sick[]>();
  for (const one of burst) {
    for (const value of valuesOf(one.node, name)) {
      const list = found.get(value);
      if (list === undefined) found.set(value, [one]);
      else list.push(one);
    }
  }
  return found;
}
