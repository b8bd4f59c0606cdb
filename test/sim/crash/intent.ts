/**
 * Checks the invariants I1 and I11 where a call arrives: at that moment the database holds an open
 * operation of that node, and the call equals it byte for byte.
 */
import type { Fence } from "../../../reconciler/core/provider.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { World } from "../../world/world.ts";

type Asked = { payload: Payload; fence: number };

/** Watches every mutating call of a world; returns what it finds wrong, as it finds it. */
export function watchIntents(world: World): string[] {
  const wrong: string[] = [];
  const { cloud, scheduler, database } = world;
  if (database === null) throw new Error("intents are read from a database in memory");
  const look = (fence: Fence, what: string, isCopy: (payload: Payload) => boolean): void => {
    const node = fence.nodeId.replaceAll("'", "''");
    const rows = database.rows(
      `SELECT doc FROM operation WHERE state = 'asked' AND node = '${node}'`,
    );
    const asked = rows.map(([doc]) => JSON.parse(String(doc)) as Asked);
    if (asked.length !== 1) {
      wrong.push(`I1: ${what} of ${fence.nodeId} with ${asked.length} open operations`);
    } else if (asked.some((one) => one.fence !== fence.fence || !isCopy(one.payload))) {
      wrong.push(`I11: ${what} of ${fence.nodeId} is not what was committed`);
    }
  };
  const create = cloud.create.bind(cloud);
  cloud.create = (request, fence, credential) => {
    const sent = JSON.stringify(request);
    look(fence, "create", (p) => p.kind === "create" && JSON.stringify(p.request) === sent);
    return create(request, fence, credential);
  };
  const terminate = cloud.terminate.bind(cloud);
  cloud.terminate = (id, fence) => {
    look(fence, "terminate", (p) => p.kind === "terminate" && p.instanceId === id);
    return terminate(id, fence);
  };
  const { cordon, uncordon, drain } = scheduler;
  scheduler.cordon = (node, why, fence) => {
    look(fence, "cordon", (p) => p.kind === "cordon" && p.why === why);
    return cordon(node, why, fence);
  };
  scheduler.uncordon = (node, why, fence) => {
    look(fence, "uncordon", (p) => p.kind === "uncordon" && p.why === why);
    return uncordon(node, why, fence);
  };
  scheduler.drain = (node, options, fence) => {
    look(fence, "drain", (p) => p.kind === "drain" && p.deadlineAt === options.deadlineAt);
    return drain(node, options, fence);
  };
  return wrong;
}
