/**
 * I1 and I11: nothing is called that was not written down first, and what was written down does not
 * change while its fate is unknown.
 */
import { isDeepStrictEqual } from "node:util";
import type { OperationId } from "../../schema/id.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Call, Checker, Violation } from "../world/observation.ts";

/** For every mutating call there was a committed row of the same kind, target and payload. */
export function committedIntent(): Checker {
  return {
    id: "I1",
    look: ({ calls }) => calls.flatMap((call) => judgeCall(call)),
  };
}

function judgeCall(call: Call): Violation[] {
  const what = `${call.kind} for ${call.node} under fence ${call.fence}`;
  const { operation } = call;
  if (operation === null) return [{ id: "I1", message: `${what} has no committed operation` }];
  const bad = (message: string): Violation[] => [{ id: "I1", message: `${what}: ${message}` }];
  if (operation.state !== "asked") return bad(`its operation is ${operation.state}`);
  const { payload } = operation;
  if (payload.kind !== call.kind) return bad(`its operation is a ${payload.kind}`);
  if (payload.kind === "create" && JSON.stringify(payload.request) !== JSON.stringify(call.request))
    return bad("the request differs from the one that was committed");
  if (payload.kind === "terminate" && payload.instanceId !== call.instanceId)
    return bad(`ends ${call.instanceId}, committed was ${payload.instanceId}`);
  if ((operation.session ?? null) !== call.session)
    return bad(`session ${call.session}, committed was ${operation.session}`);
  return [];
}

/** The payload of an open operation never changes, and no slot has two open asks. */
export function frozenAsk(): Checker {
  const payloads = new Map<OperationId, Operation["payload"]>();
  return {
    id: "I11",
    look({ commits, rows, forgotten }) {
      const out: Violation[] = [];
      if (forgotten) payloads.clear();
      if (commits.every(({ change }) => change.operations.length === 0)) return out;
      for (const { change } of commits) {
        for (const { id, payload, state } of change.operations) {
          const before = payloads.get(id);
          if (before !== undefined && !isDeepStrictEqual(before, payload))
            out.push({ id: "I11", message: `the payload of ${id} changed while it was asked` });
          if (state === "asked") payloads.set(id, structuredClone(payload));
          else payloads.delete(id);
        }
      }
      const asks = new Map<string, string>();
      for (const { id, payload } of rows.operations.values()) {
        if (payload.kind !== "create") continue;
        const { tags } = payload.request;
        const slot = `${tags["navarch-pool"]}/${tags["navarch-slot"]}`;
        const other = asks.get(slot);
        if (other !== undefined)
          out.push({ id: "I11", message: `slot ${slot} has two open asks: ${other} and ${id}` });
        asks.set(slot, id);
      }
      return out;
    },
  };
}
