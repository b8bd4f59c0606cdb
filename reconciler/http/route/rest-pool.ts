/**
 * `/rest/pool`: AgentPools for clients of Velda's API, in the shape of its gateway (JSON with camel
 * case; a stream is one JSON object a line). The credentials and roles are those of `/v1`.
 */
import { type Context } from "hono";
import type { PoolView } from "../../core/agentpool/service.ts";
import { pause } from "../../core/turn/time-limit.ts";
import { viewRestPool, viewRestStatus } from "../view/agentpool.ts";
import { servedPools } from "./agentpool.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { counted } from "./follower.ts";
import { hasRole, shownBy } from "./gate.ts";
import { HOP } from "./hop.ts";
import { Refusal, sayNear } from "./request.ts";
import { openSliced } from "./sliced.ts";
import type { Followed } from "./follower.ts";

const LOOK_MS = 1_000;
/** An empty line is sent when nothing else is, so that proxies keep the connection. */
const QUIET_MS = 15_000;
/** Then a follower comes back, with a token that still holds. */
const STREAM_MS = 10 * 60_000;

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
    await pause(clock, LOOK_MS);
  }
}

export const restPoolRoutes: readonly Route<RoutePorts & Followed>[] = [
  {
    at: "GET /rest/pool",
    access: "viewer",
    isLeaders: true,
    says: "AgentPools, for clients of Velda's API",
    run: (c, ports) => c.json({ pools: servedPools(ports).map(viewRestPool) }),
  },
  {
    at: "GET /rest/pool/:pool",
    access: "viewer",
    isLeaders: true,
    says: "one of them; `:pool` is `NAME`, or `NAMESPACE%2FNAME`; `namespace`",
    run: (c, ports) => c.json({ pool: viewRestPool(locateByName(c, ports)) }),
  },
  {
    at: "GET /rest/pool/:pool/watch",
    access: "viewer",
    isLeaders: true,
    isText: true,
    says: "its status now and after each change; one JSON object a line",
    run(c, ports) {
      const { followers } = ports;
      const { pool } = locateByName(c, ports);
      const { name: owner, role } = c.get("principal");
      followers.pools.check(owner);
      const isForwarded = c.req.header(HOP) !== undefined;
      const shown = shownBy(c);
      const isAllowed = (): boolean => hasRole(shown, role, ports);
      const slices = follow(ports, pool.key, { isForwarded, isAllowed });
      const body = openSliced(
        counted(slices, () => followers.pools.take(owner)),
        STREAM_MS + QUIET_MS,
      );
      const headers = { "Content-Type": "application/json", "Cache-Control": "no-store" };
      return c.body(body, 200, headers);
    },
  },
];
