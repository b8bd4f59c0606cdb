/**
 * The announced end of a machine, as its cloud lists it or its own agent reports it. The agent's
 * word counts in the boot and for the instance in which it was told, and not long after its time.
 * Pure.
 */
import type { AgentFact, InstanceFact, Node } from "../../../schema/node.ts";
import type { AgentNotice } from "../../../schema/report.ts";
import { isFormerBoot } from "./former-boot.ts";
import { parseInstant } from "../../../schema/instant.ts";

type Notice = NonNullable<InstanceFact["notice"]>;
type Told = NonNullable<AgentFact["notice"]>;

/** EC2 announces two minutes ahead; a report may wait while no control plane runs. */
const AHEAD_MS = 3_600_000;
const LATE_MS = 600_000;

/** Why a reported notice is ignored: a machine that still reports has not ended long ago. */
export function doubtOf({ at }: AgentNotice, now: number): "past" | "future" | null {
  if (at === null) return null;
  const atMs = parseInstant(at);
  if (atMs > now + AHEAD_MS) return "future";
  return atMs >= Math.max(0, now - LATE_MS) ? null : "past";
}

/** What the agent has told, while it counts. */
function toldOf({ agent, instance }: Node, now: number): Told | null {
  const told = agent?.notice;
  if (told === undefined || told.instanceId !== (instance?.id ?? null)) return null;
  return told.atMs !== null && now - told.atMs > LATE_MS ? null : told;
}

/** The first notice counts until it is over: the same one is told with every report. */
export function foldNotice(
  node: Node,
  { bootId, notice }: { bootId: string; notice?: AgentNotice | undefined },
  now: number,
): Pick<AgentFact, "notice"> {
  const known = node.agent?.bootId === bootId ? toldOf(node, now) : null;
  const isMore = known?.kind !== "preemption" && notice?.kind === "preemption";
  if (known !== null && !isMore) return { notice: known };
  if (notice === undefined || isFormerBoot(node.agent, bootId)) return {};
  if (doubtOf(notice, now) !== null) return {};
  const atMs = notice.at === null ? null : parseInstant(notice.at);
  const { kind, message } = notice;
  return { notice: { kind, atMs, message, instanceId: node.instance?.id ?? null } };
}

/** Whether a report tells what is not stored yet. */
export function tellsNotice(
  node: Node | null,
  report: { boot_id: string; notice?: AgentNotice | undefined },
  now: number,
): boolean {
  if (node === null || report.notice === undefined) return false;
  const { notice } = foldNotice(node, { bootId: report.boot_id, notice: report.notice }, now);
  return notice !== undefined && !Bun.deepEquals(notice, node.agent?.notice);
}

/** The cloud's list or the agent, whichever knows of the earlier end. */
export function noticeOf(node: Node, now: number): Notice | null {
  const listed = node.instance?.notice ?? null;
  const told = toldOf(node, now);
  if (listed === null || told === null) return listed ?? told;
  if (listed.kind !== told.kind) return listed.kind === "preemption" ? listed : told;
  return (told.atMs ?? Infinity) < (listed.atMs ?? Infinity) ? told : listed;
}

/** Whether `next` announces what `before` did not, by either source. */
export function isAnnounced(before: Node, next: Node, now: number): boolean {
  const [was, is] = [noticeOf(before, now), noticeOf(next, now)];
  return is !== null && (is.kind !== was?.kind || is.atMs !== was.atMs);
}
