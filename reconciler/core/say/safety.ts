/** What the safety limits report: breakers, blindness, suspended rules, what ran out. */
import type { Cause } from "../../../schema/safety.ts";
import { formatDuration } from "../../../schema/duration.ts";
import { type CodeOf, iso, sayFrom } from "./code.ts";

/** `zone aws/us-east-1a (92 % of the burst)`. */
const shared = ({ attribute, value, ofSessions }: Cause): string =>
  `${attribute} ${value} (${Math.round(ofSessions * 100)} % of the burst)`;

type Burst = { sessions: number; nodes: number };
const burst = (p: Burst): string =>
  `${p.sessions} repair sessions among ${p.nodes} nodes in an hour`;

const SAFETY = {
  // Breakers. `limitMs` and `restMs`: how long at most.
  common_cause: (p: Burst & { cause: Cause; limitMs: number }): string =>
    `${burst(p)} share ${shared(p.cause)}: its nodes wait until it ends, at most ` +
    formatDuration(p.limitMs),
  too_many: (p: Burst & { restMs: number }): string =>
    `${burst(p)} are more than hardware does: one repair at a time until the rate is normal for ` +
    formatDuration(p.restMs),
  plausible: "arrivals are plausible again: repairs go on in growing batches",
  breaker_closed: (p: { scope: string }): string =>
    `breaker of ${p.scope} is closed: repairs go on as usual`,
  breaker: (p: { scope: string; state: string; why: string }): string =>
    `breaker of ${p.scope} is ${p.state}: ${p.why}`,
  rule_suspended: (p: { rule: string; why: string }): string =>
    `rule ${p.rule} is suspended, its verdicts do not count: ${p.why}`,
  /** `isKnown`: the policy has it still. */
  rule_back: (p: { rule: string; isKnown: boolean }): string => {
    const why = p.isKnown ? "counts again" : "does not count in the policy any more";
    return `rule ${p.rule} ${why}: it is not suspended`;
  },
  // Unreliable observations.
  silent_at_once: (p: { nodes: number; of: number }): string =>
    `${p.nodes} of ${p.of} nodes fell silent at once`,
  dark_at_once: (p: { nodes: number; of: number }): string =>
    `${p.nodes} of ${p.of} nodes are silent or unhealthy at once`,
  reliable_again: (p: { restMs: number; why: string }): string =>
    `waits until observations were reliable for ${formatDuration(p.restMs)}, after: ${p.why}`,
  collapse: (p: { provider: string; seen: number; known: number; until: number }): string =>
    `the list of ${p.provider} shrank implausibly, to ${p.seen} of ${p.known} known instances: ` +
    `it is believed after ${iso(p.until).slice(0, 19)}Z, and what it lacks is bought again. If ` +
    "they still exist, repair account, region or credential (navarch doctor providers --config " +
    "FILE), or stop that with navarch freeze --reason WHY",
  // What ended, or did not.
  freeze_over: (p: { by: string; why: string }): string =>
    `the freeze by ${p.by} ran out: ${p.why}`,
  hold_over: (p: { by: string; why: string }): string => `the hold by ${p.by} ran out: ${p.why}`,
  still_billed: (p: { instance: string; perHour: number | null; minutes: number }): string => {
    const price = p.perHour === null ? "" : ` at $${p.perHour}/h`;
    return `instance ${p.instance} is still billed${price}, ${p.minutes} min after its end was due`;
  },
  /** `at`: where its audit log has the client if nobody is named. */
  uncordon_loop: (p: {
    node: string;
    count: number;
    spanMs: number;
    at: number;
    by: readonly string[];
  }): string => {
    const minutes = Math.max(1, Math.ceil(p.spanMs / 60_000));
    const nobody = "a client that left no field manager; the audit log of the API server names it";
    const who = p.by.length === 0 ? `${nobody} (${iso(p.at)})` : p.by.join(", ");
    const what = `Node ${p.node} was uncordoned ${p.count} times within ${minutes} min by ${who}`;
    return `${what}; this looks like an automation: exclude the Node from it`;
  },
  provider: (p: { provider: string; said: string }): string => `provider ${p.provider}: ${p.said}`,
  provider_well: "nothing is wrong there any more",
  provider_sells_nothing: (p: { said: string }): string => `nothing can be bought there: ${p.said}`,
};

export const saySafety = (told: CodeOf<typeof SAFETY>): string => sayFrom(SAFETY, told);
