/**
 * Judges a story by the cloud's own record: live instances per slot within the workflow's limit,
 * no unknown instance, no purchase or end beyond those wanted. The control plane's belief counts
 * only where it must agree with the cloud.
 */
import type { Entry } from "../../../reconciler/provider/fake/entry.ts";
import type { World } from "../../world/world.ts";
import type { Reply } from "./reply.ts";
import { servingNodes, type Workflow } from "./workflow.ts";

/** The most instances that a slot had alive at one time, and all that were made and ended. */
export function count(entries: readonly Entry[]): { perSlot: number; made: number; ended: number } {
  const slots = new Map<string, Set<string>>();
  const slotOf = new Map<string, string>();
  let perSlot = 0;
  let made = 0;
  let ended = 0;
  for (const entry of entries) {
    if (entry.kind === "landed") {
      const { id, tags } = entry.instance;
      const slot = `${tags["navarch-pool"]}/${tags["navarch-slot"]}`;
      const live = slots.get(slot) ?? new Set();
      live.add(id);
      slots.set(slot, live);
      slotOf.set(id, slot);
      perSlot = Math.max(perSlot, live.size);
      made++;
    } else if (entry.kind === "terminated") {
      slots.get(slotOf.get(entry.id) ?? "")?.delete(entry.id);
      ended++;
    }
  }
  return { perSlot, made, ended };
}

/** What is wrong at the end, in words; empty = nothing. `before` is how many entries were given. */
export function judge(world: World, workflow: Workflow, reply: Reply, before: number): string[] {
  const out: string[] = [];
  const entries = world.cloud.entries();
  const all = count(entries);
  const given = count(entries.slice(0, before));
  const made = all.made - given.made;
  const ended = all.ended - given.ended;
  // A tag-only cloud may make one instance for each ask that landed after its settle time.
  const surplus = world.cloud.class === "tag-only" ? reply.lateAsks : 0;
  if (all.perSlot > workflow.perSlot + surplus) {
    out.push(`double: ${all.perSlot} live instances in one slot, at most ${workflow.perSlot}`);
  }
  const over = made - workflow.made;
  if (over < 0 || over > surplus) out.push(`bought ${made}, wanted ${workflow.made}`);
  if (ended - workflow.ended !== over) {
    out.push(`ended ${ended}, wanted ${workflow.ended} and ${over} surplus`);
  }
  const { live, doubles, overlaps } = world.cloud.reality();
  const known = new Set(world.nodes().map((node) => node.instance?.id as string));
  for (const { id, state } of live) {
    if (!known.has(id)) out.push(`orphan: ${id} is ${state} and nobody knows it`);
  }
  if (live.length !== workflow.nodes) out.push(`${live.length} live, wanted ${workflow.nodes}`);
  if (surplus === 0) {
    for (const { token, ids } of doubles) out.push(`one token, two instances: ${token} ${ids}`);
    for (const { nodeId, ids } of overlaps) out.push(`one node, two at once: ${nodeId} ${ids}`);
  }
  const serve = servingNodes(world);
  if (serve !== workflow.nodes) out.push(`${serve} serve, wanted ${workflow.nodes}`);
  return out;
}
