/** `DELETE /v1/nodes/:id`: a person says that an unmanaged machine is gone. */
import type { Context } from "hono";
import * as v from "valibot";
import { judgeForget } from "../../core/fold/forget.ts";
import type { App, Env, RoutePorts } from "./app.ts";
import { locateNode } from "./node.ts";
import { eventBy, needs, readAsked, reasonOrNone, Refusal } from "./request.ts";

const Forget = v.strictObject({ reason: reasonOrNone });

export function forgetRoutes(api: App, ports: RoutePorts): void {
  api.delete("/nodes/:id", needs("operator"), (c) => forget(c, ports));
}

async function forget(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { id } = locateNode(c, ports);
  const { body, by, now } = await readAsked(c, ports, Forget);
  const { reconciler, clock } = ports;
  const { heartbeatTimeoutMs } = reconciler.activeConfig().server;
  let refusal: string | null = null;
  await reconciler.change((draft) => {
    const node = draft.node(id);
    // Removed in between: that is what was asked for.
    if (node === null) return;
    const silentMs = reconciler.presence.isHeard(id)
      ? reconciler.presence.silentMs(id, clock.monoMs(), heartbeatTimeoutMs)
      : null;
    const judgement = judgeForget(node, { silentMs, heartbeatTimeoutMs });
    if (judgement.kind === "refused") {
      refusal = judgement.message;
      return;
    }
    draft.change.removedNodes.push(id);
    const why = body.reason === "" ? "" : `: ${body.reason}`;
    const message = `its record is removed${why}; an agent that reports again starts a new one`;
    const about = { node: id, pool: node.pool };
    draft.tell([eventBy(by, { at: now, kind: "node.forgotten", ...about, message })]);
  });
  if (refusal !== null) throw new Refusal("conflict", refusal, { node_id: id });
  reconciler.presence.forget(id);
  return c.json({ node_id: id, forgotten_by: by });
}
