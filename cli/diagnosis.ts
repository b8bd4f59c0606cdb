/**
 * The checks of `doctor`: reachability, readiness, version, token, transport, agents, providers and
 * pauses, each with advice.
 */
import { countOf } from "../schema/article.ts";
import type { NodeView, PoolView, SafetyView, VersionView } from "../schema/api.ts";
import type { ConfigStatusView } from "../schema/api-config.ts";
import type { FleetsView } from "../schema/fleet-view.ts";
import type { TrustView } from "../schema/order.ts";
import type { SlurmClusterView } from "../schema/slurm-view.ts";
import { VERSION } from "../schema/version.ts";
import type { Client } from "./client.ts";
import type { Context } from "./command.ts";
import { EXIT, type Failure } from "./failure.ts";
import { bad, type Diagnosis, ok } from "./diagnosis-row.ts";
import { judgeFleets } from "./diagnosis-fleet.ts";
import { judgeConfig } from "./diagnosis-config.ts";
import { judgeSlurm } from "./diagnosis-slurm.ts";
import { judgeTrust } from "./diagnosis-trust.ts";
import { formatBreaker, formatFailure } from "./safety-view.ts";
import { fingerprintOf } from "./trust.ts";
import { formatHold } from "./veto.ts";
import { parseInstant } from "../schema/instant.ts";

/** The Date header has whole seconds; a larger skew makes printed ages wrong. */
const SKEW_MS = 5_000;
/** Four intervals of the default heartbeat. */
const SILENT_MS = 120_000;

export async function diagnose(context: Context, client: Client): Promise<Diagnosis[]> {
  const { world } = context;
  const alive = await client.page("/healthz");
  if (!alive.ok) {
    return [bad("fail", "reachable", alive.message, "start it, or pass --server ADDRESS")];
  }
  if (alive.status !== 200) {
    const message = `${client.address.url}/healthz answered ${alive.status}`;
    return [bad("fail", "reachable", message, "check that --server names a control plane")];
  }
  const found = [
    ok("reachable", `${client.address.url} answers in ${Math.round(alive.tookMs)} ms`),
    judgeTransport(client),
    await checkAuthority(client),
    judgeClock(alive.dateMs, world.wallMs()),
    await checkReady(client),
    ...(await checkAccess(client)),
  ];
  return found.filter((one) => one !== null);
}

function judgeTransport({ address }: Client): Diagnosis {
  if (address.secure) return ok("transport", "encrypted");
  if (address.loopback) return ok("transport", "not encrypted, and does not leave this machine");
  const advice =
    "set server.tls: { own_ca: true }, or reach it through a tunnel or an ingress with TLS";
  return bad("warn", "transport", "tokens travel over the network in the clear", advice);
}

/** The fingerprint of the fleet's own CA, if any. */
async function checkAuthority(client: Client): Promise<Diagnosis | null> {
  if (!client.address.secure) return null;
  const page = await client.page("/ca.pem");
  const fingerprint = page.ok && page.status === 200 ? fingerprintOf(page.body) : "";
  if (fingerprint === "") return null;
  return ok("authority", `${fingerprint} (agents: --ca-fingerprint)`);
}

function judgeClock(serverMs: number | null, nowMs: number): Diagnosis | null {
  if (serverMs === null) return null;
  const skewMs = nowMs - serverMs;
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  if (Math.abs(skewMs) <= SKEW_MS) return ok("clock", "within five seconds of the control plane's");
  const side = skewMs > 0 ? "ahead of" : "behind";
  const message = `this clock is ${seconds} s ${side} the control plane's`;
  return bad("warn", "clock", message, "synchronise both with NTP");
}

/** The body lists one condition per line, `store: …` among them. */
async function checkReady(client: Client): Promise<Diagnosis> {
  const page = await client.page("/readyz");
  if (!page.ok) return bad("fail", "ready", page.message, "see the log of the control plane");
  const [, ...degraded] = page.body.trim().split("\n");
  if (page.status === 200 && degraded.length === 0) return ok("ready", "yes");
  if (page.status === 200) return bad("warn", "ready", degraded.join("; "), "navarch safety");
  const conditions = page.body.trim().split("\n").join("; ");
  return bad("fail", "ready", conditions, "see the log of the control plane");
}

async function checkAccess(client: Client): Promise<(Diagnosis | null)[]> {
  const nodes = await client.get<{ nodes: NodeView[] }>("/nodes", ["nodes"]);
  if (!nodes.ok) return [judgeRefusal(nodes)];
  const version = await client.get<VersionView>("/version", ["version"]);
  const events = await client.get("/events?limit=1", ["events"]);
  return [
    await checkRole(client),
    version.ok
      ? judgeVersion(version.value.version)
      : bad("warn", "version", version.message, null),
    events.ok
      ? ok("store", "answers")
      : bad("fail", "store", events.message, "see the log of the control plane"),
    judgeNodes(nodes.value.nodes, nodes.nowMs),
    ...(await checkConfig(client)),
    ...(await checkTrust(client)),
    ...(await checkSlurm(client)),
    ...(await checkSafety(client)),
    ...(await checkFleets(client)),
    ...(await checkPools(client)),
  ];
}

async function checkConfig(client: Client): Promise<Diagnosis[]> {
  const status = await client.get<ConfigStatusView>("/config/status", ["hash", "orphaned"]);
  // An older control plane does not report it, and a simulated one has no files.
  return status.ok ? judgeConfig(status.value) : [];
}

async function checkTrust(client: Client): Promise<Diagnosis[]> {
  const trust = await client.get<TrustView>("/trust", ["without_tls", "refused"]);
  // An older control plane does not report it.
  return trust.ok ? judgeTrust(trust.value) : [];
}

async function checkSlurm(client: Client): Promise<Diagnosis[]> {
  const slurm = await client.get<SlurmClusterView>("/slurm", ["attached"]);
  // An older control plane does not report it.
  return slurm.ok ? judgeSlurm(slurm.value) : [];
}

/** Each provider's idempotency (docs/reference/providers.md#classes), and active pauses. */
async function checkSafety(client: Client): Promise<Diagnosis[]> {
  const safety = await client.get<SafetyView>("/safety", ["providers"]);
  // An older control plane does not report it.
  if (!safety.ok) return [];
  const { frozen, blind, breakers, still_billed: billed, simulation } = safety.value;
  const out = safety.value.providers.map((one) => {
    const text = `${one.guarantee}: repeated requests are recognised by ${KNOWN_BY[one.class] ?? one.class}`;
    const why = one.unavailable ?? one.trouble ?? null;
    if (why === null) {
      const shared = one.shared ?? null;
      const name = `provider ${one.name}`;
      return shared === null ? ok(name, text) : bad("warn", name, shared, SHARED_HINT);
    }
    const advice = one.unavailable === null ? AGENT_HINT : PROVIDER_HINT;
    return bad("fail", `provider ${one.name}`, why, advice);
  });
  if (simulation !== undefined) {
    const failing = simulation.map((one) => {
      return `; provider ${one.provider} fails ${formatFailure(one.failure)}`;
    });
    const message = `enabled: faults may be on purpose${failing.join("")}`;
    out.push(bad("warn", "simulation", message, SIMULATION_HINT));
  }
  const stops = [
    ...(frozen === null ? [] : [`frozen ${formatHold(frozen)}`]),
    ...blind.map((why) => `blind: ${why}`),
    ...breakers.map((one) => `breaker of ${formatBreaker(one)}`),
  ];
  if (stops.length > 0) out.push(bad("warn", "safety", stops.join("; "), "navarch safety"));
  if (billed.count > 0) {
    const refused = billed.oldest.filter((one) => (one.refused ?? null) !== null);
    const said = refused.map((one) => `; ${one.instance_id} is refused: ${one.refused}`).join("");
    const message = `${countOf(billed.count, "termination")} not confirmed${said}`;
    const level = refused.length > 0 ? "fail" : "warn";
    out.push(bad(level, "instances", message, "navarch instances --state terminating"));
  }
  return out;
}

async function checkFleets(client: Client): Promise<Diagnosis[]> {
  const fleets = await client.get<FleetsView>("/fleets", ["others", "not_seen"]);
  // An older control plane does not report it.
  return fleets.ok ? judgeFleets(fleets.value) : [];
}

/** A pool below its size that says why. One that is at its size has nothing to be told of here. */
async function checkPools(client: Client): Promise<Diagnosis[]> {
  const answer = await client.get<{ pools: PoolView[] }>("/pools", ["pools"]);
  // An older control plane has no list of them.
  if (!answer.ok) return [];
  return answer.value.pools.flatMap(({ name, ready, desired, conditions }) => {
    if (ready >= desired || conditions.length === 0) return [];
    const message = `${ready} of ${desired} nodes serve: ${conditions.join("; ")}`;
    return [bad("warn", `pool ${name}`, message, `navarch pool status ${name}`)];
  });
}

/** For a provider that cannot be opened. */
const PROVIDER_HINT = "fix the provider or choose another; navarch config reload opens it again";
const SIMULATION_HINT = "for a fleet that people rely on, set simulation.enabled: false and reload";
const SHARED_HINT = "docs/buying.md, one account; navarch config validate checks the file";
/** For machines that do not come up. */
const AGENT_HINT =
  "navarch doctor providers --config FILE; navarch events and the log name each one";

/** Provider classes in words. */
const KNOWN_BY: Readonly<Record<string, string>> = {
  token: "a token of ours",
  name: "a unique name",
  "tag-only": "their tags in a list",
};

function judgeRefusal({ exit, message }: Failure): Diagnosis {
  const isAccess = exit === EXIT.forbidden;
  const advice = isAccess
    ? "use the token that the control plane wrote to admin.token, or one of navarch token create"
    : null;
  return bad("fail", isAccess ? "access" : "nodes", message, advice);
}

function judgeVersion(theirs: string): Diagnosis {
  if (theirs === VERSION) return ok("version", `${VERSION} on both sides`);
  const message = `this is ${VERSION}, the control plane is ${theirs}`;
  return bad("warn", "version", message, "use the same release on both sides");
}

type WhoView = { role: string; name: string; shared?: boolean };

/** The token's role. An older control plane does not report it, but lists tokens to admins only. */
async function checkRole(client: Client): Promise<Diagnosis> {
  const { from, token } = client.token;
  const who = await client.get<WhoView>("/whoami", ["role", "name"]);
  if (token === null) {
    const advice = "remove allow_anonymous from the configuration";
    return bad("warn", "access", "everyone may do everything: no token is needed", advice);
  }
  const split = "give operators their own: navarch token create --role operator --label NAME";
  const shared = "agents and operators share one token, so an agent's machine can order anything";
  if (who.ok) {
    if (who.value.shared === true) return bad("warn", "access", shared, split);
    return ok("access", `${who.value.name} with role ${who.value.role} (token from ${from})`);
  }
  const admin = await client.get("/tokens", ["tokens"]);
  if (!admin.ok) return ok("access", `token from ${from} may read`);
  if (from === "NAVARCH_AUTH_TOKEN") {
    const message = "the token of NAVARCH_AUTH_TOKEN may do everything; agents may be using it too";
    return bad("warn", "access", message, split);
  }
  return ok("access", `role admin (token from ${from})`);
}

function judgeNodes(nodes: readonly NodeView[], nowMs: number): Diagnosis {
  const silent = nodes.filter(
    ({ last_heartbeat: at }) => typeof at === "string" && nowMs - parseInstant(at) > SILENT_MS,
  );
  const [first] = silent;
  if (first === undefined) return ok("nodes", `${nodes.length} listed, none silent`);
  const message = `${silent.length} of ${nodes.length} not heard for two minutes`;
  return bad("warn", "nodes", message, `navarch explain node ${first.node_id}`);
}
