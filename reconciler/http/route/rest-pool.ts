/**
 * `/rest/pool`: AgentPools for clients of Velda's API, in the shape of its gateway (JSON with camel
 * case; a stream is one JSON object a line). The credentials and roles are those of `/v1`.
 */
import { Hono, type Context } from "hono";
import type { PoolView } from "../../core/agentpool/service.ts";
import { viewRestPool, viewRestStatus } from "../view/agentpool.ts";
import { servedPools } from "./agentpool.ts";
import type { App, Env, RoutePorts } from "./env.ts";
import { counted, Followers } from "./follower.ts";
import { auditCall, authenticate, hasRole, shownBy } from "./gate.ts";
import { HOP } from "./hop.ts";
import { needs, Refusal, sayNear } from "./request.ts";
import { openSliced } from "./sliced.ts";

const LOOK_MS = 1_000;
/** An empty line is sent when nothing else is, so that proxies keep the connection. */
const QUIET_MS = 15_000;
/** Then a follower comes back, with a token that still holds. */
const STREAM_MS = 10 * 60_000;

export function openRestPool(ports: RoutePorts): App {
  const api: App = new Hono<Env>();
  const followers = new Followers("pools");
  api.use((c, next) => auditCall(c, next, ports));
  api.use((c, next) => authenticate(c, next, ports));
  api.get("/pool", needs("viewer"), (c) => c.json({ pools: servedPools(ports).map(viewRestPool) }));
  api.get("/pool/:pool", needs("viewer"), (c) => {
    return c.json({ pool: viewRestPool(locateByName(c, ports)) });
  });
  api.get("/pool/:pool/watch", needs("viewer"), (c) => {
    const { pool } = locateByName(c, ports);
    const { name: owner, role } = c.get("principal");
    followers.check(owner);
    const isForwarded = c.req.header(HOP) !== undefined;
    const shown = shownBy(c);
    const isAllowed = (): boolean => hasRole(shown, role, ports);
    const slices = follow(ports, pool.key, { isForwarded, isAllowed });
    const body = openSliced(
      counted(slices, () => followers.take(owner)),
      STREAM_MS + QUIET_MS,
    );
    return c.body(body, 200, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  });
  return api;
}

/** `NAME` where one namespace has it, `NAMESPACE/NAME` with `%2F`, or `?namespace=`. */
function locateByName(c: Context<Env>, ports: RoutePorts): PoolView {
  const all = servedPools(ports);
  const given = c.req.param("pool") ?? "";
  const namespace = c.req.query("namespace") ?? null;
  const key = namespace === null ? given : `${namespace}/${given}`;
  const found = all.filter(({ pool }) => pool.key === key || pool.name === key);
  const [first] = found;
  if (first === undefined) {
    const names = all.flatMap(({ pool }) => (key.includes("/") ? [pool.key] : [pool.name]));
    throw new Refusal("not_found", `no AgentPool ${key}${sayNear(key, names)}`);
  }
  if (found.length === 1) return first;
  const keys = found.map(({ pool }) => pool.key).join(", ");
  throw new Refusal("conflict", `AgentPool ${key} is ambiguous: ${keys}; add ?namespace=`);
}

/** The status at once and after each change, until the pool is gone. */
async function* follow(
  { agentPools, clock }: RoutePorts,
  key: string,
  { isForwarded, isAllowed }: { isForwarded: boolean; isAllowed(): boolean },
): AsyncGenerator<string> {
  let toldMono = clock.monoMs();
  const untilMono = toldMono + STREAM_MS;
  let last = "";
  for (;;) {
    const view = agentPools.pool(key);
    // A follower whose token was revoked comes back, and is refused.
    if (view === null || !isAllowed()) return;
    const autoscalerStatus = viewRestStatus(view);
    const line = JSON.stringify({ result: { pool: view.pool.name, autoscalerStatus } });
    const now = clock.monoMs();
    if (line !== last) yield `${line}\n`;
    else if (now - toldMono >= QUIET_MS) yield "\n";
    if (line !== last || now - toldMono >= QUIET_MS) toldMono = now;
    // A standby passes on whole answers only, so a forwarded stream ends with what is there.
    if (isForwarded || now >= untilMono) return;
    last = line;
    await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
  }
}
