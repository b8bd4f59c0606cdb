/** `DELETE /v1/nodes/:id`: a person says that a machine which nobody bought is gone. */
import type { Context } from "hono";
import * as v from "valibot";
import { judgeForget } from "../../core/fold/forget.ts";
import { type Env, needs, readBody, refuse, type App, type RoutePorts } from "./app.ts";
import { locateNode } from "./node.ts";

const Forget = v.strictObject({
  reason: v.optional(v.pipe(v.string(), v.maxLength(1_024)), ""),
});

export function forgetRoutes(api: App, ports: RoutePorts): void {
  api.delete("/nodes/:id", needs("operator"), (c) => forget(c, ports));
}

async function forget(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const found = locateNode(c, ports);
  if (!found.ok) return found.response;
  const body = await readBody(c, Forget);
  if (!body.ok) return body.response;
  const { id } = found.node;
  const { reconciler, clock } = ports;
  const { heartbeatTimeoutMs } = reconciler.activeConfig().server;
  const now = clock.wallMs();
  const by = c.get("principal").name;
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
    const why = body.value.reason === "" ? "" : `: ${body.value.reason}`;
    const about = { at: now, node: id, pool: node.pool, session: null, actor: `human:${by}` };
    const message = `its record is removed${why}; an agent that speaks again starts a new one`;
    draft.tell([{ ...about, kind: "node.forgotten", message }]);
  });
  if (refusal !== null) return refuse(c, "conflict", refusal, { node_id: id });
  reconciler.presence.forget(id);
  return c.json({ node_id: id, forgotten_by: by });
}
