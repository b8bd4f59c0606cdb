/** `server`, `instance_manager` and what `global.agent` says for a silent server. */
import type { ServerConfig } from "../../schema/config.ts";
import { formatDuration } from "../../schema/duration.ts";
import { type Answer, isWildcard, parseExternal, parseListen } from "./address.ts";
import { readEnvName, readNotifier } from "./notifier.ts";
import type { Section } from "./section.ts";

const LISTEN = ":50051";
const HEARTBEAT_MS = 30_000;
/** Two beats may be lost before a node is called silent, and a third is late. */
const HEARTBEATS_MISSED = 3;
/**
 * NVML is read this often on the node. Ten seconds finds a hot GPU within one heartbeat and stays
 * inside the agent's share of a CPU.
 */
const SAMPLE_MS = 10_000;
const TOKEN_ENV = "NAVARCH_AUTH_TOKEN";

export type ServerOptions = {
  /** Port 0 is allowed: the caller has a way to tell the real one. */
  portZero: boolean;
  /** The caller knows an address that nodes can dial. */
  externalAddress: boolean;
};

/** What `global.agent` offers. */
export type AgentDefaults = {
  server: string | null;
  heartbeatMs: number | null;
  checkMs: number | null;
};

export function readAgentDefaults(agent: Section): AgentDefaults {
  const found = {
    server: readAnswer(agent, "server", parseExternal),
    heartbeatMs: agent.duration("heartbeat_interval", { min: 100 }),
    checkMs: agent.duration("health_check_interval", { min: 1_000 }),
  };
  agent.finish();
  return found;
}

export function readServer(
  server: Section,
  manager: Section,
  agent: AgentDefaults,
  options: ServerOptions,
): ServerConfig {
  const listen = readListen(server, options);
  const external = readAnswer(server, "external_address", parseExternal) ?? agent.server;
  if (isWildcard(listen.host) && external === null && !options.externalAddress) {
    const message = "listens on every interface, which does not tell nodes what to dial";
    const at = server.look("address")?.at ?? server.at;
    const hint = "set server.external_address";
    server.problems.warning(at, "server.address", "wildcard", message, hint);
  }
  const beat = readHeartbeat(server, agent);
  const config: ServerConfig = {
    ...listen,
    externalAddress: external,
    ...beat,
    healthCheckIntervalMs:
      server.duration("health_check_interval", { min: 1_000 }) ?? agent.checkMs ?? 60_000,
    autoscaleIntervalMs: server.duration("autoscale_interval", { min: 1_000 }) ?? 30_000,
    sampleIntervalMs: server.duration("sample_interval", { min: 100 }) ?? SAMPLE_MS,
    healthPolicyPath: server.text("health_policy_path"),
    statePath: server.text("state_path"),
    notifier: readNotifier(server.map("notifier")),
    tls: readTls(server.map("tls")),
    auth: readAuth(server.map("auth")),
    metricsRetentionMs: server.duration("metrics_retention", { min: 1_000 }) ?? 3_600_000,
    registrationTimeoutMs: manager.duration("registration_timeout", { min: 1 }) ?? 600_000,
    staleCheckIntervalMs: manager.duration("stale_check_interval", { min: 1 }) ?? 60_000,
    retainTerminatedMs: manager.duration("retain_terminated") ?? 86_400_000,
  };
  manager.finish();
  server.finish();
  return config;
}

/** Text that a parser of `address.ts` accepts. */
function readAnswer<T>(
  section: Section,
  key: string,
  parse: (text: string) => Answer<T>,
): T | null {
  const text = section.text(key);
  if (text === null) return null;
  const answer = parse(text);
  if (answer.ok) return answer.value;
  section.fail(key, "address", answer.message, answer.hint);
  return null;
}

function readListen(server: Section, options: ServerOptions): { host: string; port: number } {
  const listen = readAnswer(server, "address", parseListen) ?? { host: "", port: 50_051 };
  if (listen.port === 0 && !options.portZero) {
    const message = "port 0 is allowed only with --test-port-file";
    server.fail("address", "range", message, `the default is ${LISTEN}`);
  }
  return listen;
}

function readHeartbeat(server: Section, agent: AgentDefaults) {
  const interval = server.duration("heartbeat_interval", { min: 100 });
  const heartbeatIntervalMs = interval ?? agent.heartbeatMs ?? HEARTBEAT_MS;
  const timeout = server.duration("heartbeat_timeout");
  const heartbeatTimeoutMs = timeout ?? HEARTBEATS_MISSED * heartbeatIntervalMs;
  const known = interval !== null || !server.has("heartbeat_interval");
  const [timed, beat] = [heartbeatTimeoutMs, heartbeatIntervalMs].map(formatDuration);
  if (known && heartbeatTimeoutMs <= heartbeatIntervalMs) {
    const message = `${timed} must be above heartbeat_interval ${beat}, best twice as long`;
    server.fail("heartbeat_timeout", "range", message);
  } else if (known && heartbeatTimeoutMs < 2 * heartbeatIntervalMs) {
    const message = `${timed} is less than twice heartbeat_interval ${beat}`;
    const at = server.look("heartbeat_timeout")?.value.at ?? server.at;
    const hint = "one lost heartbeat makes a healthy node silent";
    server.problems.warning(at, `${server.path}.heartbeat_timeout`, "range", message, hint);
  }
  return { heartbeatIntervalMs, heartbeatTimeoutMs };
}

function readTls(tls: Section): ServerConfig["tls"] {
  const certFile = tls.text("cert_file");
  const keyFile = tls.text("key_file");
  const clientCaFile = tls.text("client_ca_file");
  const ownCa = tls.flag("own_ca") ?? false;
  const hint = "or set own_ca: true, which makes an authority of its own";
  for (const key of ["cert_file", "key_file"]) {
    if (tls.given && !ownCa && !tls.has(key)) tls.missing(key, hint);
    if (ownCa && tls.has(key)) {
      tls.fail(key, "conflict", "own_ca makes the certificate", `remove own_ca or ${key}`);
    }
  }
  tls.finish();
  if (ownCa) return { certFile: null, keyFile: null, ownCa, clientCaFile };
  if (certFile === null || keyFile === null) return null;
  return { certFile, keyFile, ownCa, clientCaFile };
}

function readAuth(auth: Section): ServerConfig["auth"] {
  const config = {
    tokenEnv: readEnvName(auth, "token_env") ?? TOKEN_ENV,
    tokenFile: auth.text("token_file"),
    adminTokenFile: auth.text("admin_token_file"),
    nodeTokenFile: auth.text("node_token_file"),
    allowAnonymous: auth.flag("allow_anonymous") ?? false,
    metricsAuth: auth.flag("metrics_auth") ?? false,
  };
  auth.finish();
  return config;
}
