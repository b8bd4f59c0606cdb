/**
 * Blindness (docs/reference/safety.md#blindness): when every node looks dead at once, the observer
 * is at fault. Pure tests, and the memory of the last blindness, which ends after two full rounds
 * without a reason. Memory only, because a new process observes for itself.
 */
import type { Node } from "../../../schema/node.ts";
import { isUnbought, isWorker } from "../fleet.ts";
import { isDefinitive } from "./evident.ts";
import { domainsOf } from "./scope.ts";
import { saySafety } from "../say/safety.ts";

/** A domain of at least this many nodes is unreachable when this share of it is. */
const DOMAIN_NODES_MIN = 3;
const DARK_SHARE = 0.9;
/** Evidence, unlike silence, needs a larger fleet: three machines may fail together. */
const SICK_FLEET_MIN = 10;

/** Whether silence or unproven evidence makes the node unreachable. */
function isDark(node: Node, countSick: boolean): boolean {
  if (node.health.silentSince !== null) return true;
  // Evidence of broken hardware from a reporting agent is an observation; the breaker handles it.
  return countSick && node.health.verdict === "unhealthy" && !isDefinitive(node);
}

/**
 * Why observations of nodes are unreliable, or `null`: every domain of sufficient size is
 * unreachable. One unreachable zone among others is a failed zone.
 */
export function darkness(nodes: Iterable<Node>): string | null {
  const all: Node[] = [];
  for (const node of nodes) {
    if (node.agent === null || isWorker(node)) continue;
    if (node.phase.kind === "gone" || node.phase.kind === "terminating") continue;
    if (node.instance !== null && node.instance.state === "terminated") continue;
    all.push(node);
  }
  // Unmanaged agents must not blind a fleet, unless it has no others.
  const bought = all.filter((node) => !isUnbought(node));
  const watched = bought.length > 0 ? bought : all.filter((node) => node.pool !== null);
  if (watched.length < DOMAIN_NODES_MIN) return null;
  const countSick = watched.length >= SICK_FLEET_MIN;
  // The usual case, which saves the examination of domains.
  if (!watched.some((node) => isDark(node, countSick))) return null;
  const domains = new Map<string, { all: number; dark: number }>();
  let silent = 0;
  let dark = 0;
  for (const node of watched) {
    const out = isDark(node, countSick);
    if (out) dark++;
    if (node.health.silentSince !== null) silent++;
    const domain = finest(node);
    const count = domains.get(domain) ?? { all: 0, dark: 0 };
    count.all++;
    if (out) count.dark++;
    domains.set(domain, count);
  }
  const judged = [...domains.values()].filter(({ all }) => all >= DOMAIN_NODES_MIN);
  // Domains that are too small are judged together.
  const small = [...domains.values()].filter(({ all }) => all < DOMAIN_NODES_MIN);
  const sum = (of: "all" | "dark"): number => small.reduce((total, one) => total + one[of], 0);
  if (small.length > 0) judged.push({ all: sum("all"), dark: sum("dark") });
  if (!judged.every((one) => one.dark / one.all >= DARK_SHARE)) return null;
  const code = silent === dark ? "silent_at_once" : "dark_at_once";
  return saySafety({ code, nodes: dark, of: watched.length });
}

/** The zone of a node, or its provider if no zone is known. */
function finest(node: Node): string {
  return domainsOf(node).findLast((one) => !one.startsWith("rack:")) ?? "nowhere";
}

export class Blindness {
  private darkSince: { why: string; lastMono: number } | null = null;

  /**
   * Why nothing irreversible may start; empty while observations are reliable. `roundMs` is one
   * full round, a heartbeat interval; `mono` this process's monotonic milliseconds.
   */
  look(reasons: readonly string[], mono: number, roundMs: number): string[] {
    const [why] = reasons;
    if (why !== undefined) {
      this.darkSince = { why, lastMono: mono };
      return [...reasons];
    }
    if (this.darkSince === null) return [];
    if (mono - this.darkSince.lastMono >= 2 * roundMs) {
      this.darkSince = null;
      return [];
    }
    const { why: after } = this.darkSince;
    return [saySafety({ code: "reliable_again", restMs: 2 * roundMs, why: after })];
  }
}
