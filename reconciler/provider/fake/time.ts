/**
 * Advances the fake cloud in time: late requests take effect, instances boot, end and vanish from
 * the list. Each step is an entry with its due time, however late `advance` is called.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { instanceOf, judge } from "./answer.ts";
import { popDue } from "./due.ts";
import type { Due } from "./due.ts";
import type { Entry } from "./entry.ts";
import { apply } from "./world.ts";
import type { Terms, World } from "./world.ts";

/** One of 16 million loopback addresses (RFC 6890 §2.2.2): distinct, and on this machine. */
function ipOf(id: InstanceId): string {
  const ordinal = Number(id.slice(id.lastIndexOf("-") + 1));
  return `127.${1 + ((ordinal >> 16) % 254)}.${(ordinal >> 8) & 255}.${ordinal & 255}`;
}

function landing(world: World, terms: Terms, due: Due): Entry | null {
  const pending = world.pending.get(due.id);
  if (pending === undefined) return null;
  const { request, nodeId, fence } = pending;
  const judgement = judge(world, terms, request, { nodeId, fence, sessionId: null });
  switch (judgement.kind) {
    case "new": {
      const instance = instanceOf(terms, pending, due.atMs);
      return { kind: "landed", atMs: due.atMs, instance, runningAtMs: due.atMs + pending.bootMs };
    }
    case "same": {
      const reason = `already made: ${judgement.held.instance.id}`;
      return { kind: "dropped", atMs: due.atMs, id: due.id, reason };
    }
    case "refused":
      return { kind: "dropped", atMs: due.atMs, id: due.id, reason: judgement.refusal.message };
    default:
      return unreachable(judgement);
  }
}

/** A due event as an entry, or `null` if it is outdated. */
function entryOf(world: World, terms: Terms, due: Due): Entry | null {
  const { id, atMs } = due;
  const state = world.instances.get(id)?.instance.state;
  switch (due.kind) {
    case "land":
      return landing(world, terms, due);
    case "run":
      if (state !== "provisioning") return null;
      return { kind: "running", atMs, id, internalIp: ipOf(id) };
    case "end":
      return state === "terminating" ? { kind: "terminated", atMs, id } : null;
    case "vanish":
      return state === "terminated" ? { kind: "vanished", atMs, id } : null;
    case "forget": {
      if (world.tokens.get(due.token) !== id) return null;
      return { kind: "forgotten", atMs, id, token: due.token };
    }
    default:
      return unreachable(due.kind);
  }
}

/** Applies all events due up to and including `nowMs` and returns them, oldest first. */
export function advance(world: World, terms: Terms, nowMs: number): Entry[] {
  const entries: Entry[] = [];
  for (;;) {
    const next = world.due[0];
    if (next === undefined || next.atMs > nowMs) return entries;
    popDue(world.due);
    const entry = entryOf(world, terms, next);
    if (entry === null) continue;
    apply(world, entry);
    entries.push(entry);
  }
}

/** Wall milliseconds of the next event, or `null`. The event may be outdated. */
export function nextDueMs(world: World): number | null {
  return world.due[0]?.atMs ?? null;
}
