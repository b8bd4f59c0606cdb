/** Reads `server` and `instance_manager`; `global.agent` fills keys that `server` lacks. */
import type { NotifierConfig, ServerConfig } from "../../schema/config.ts";
import { fillTable, type PartOf, type ValueOf } from "../../schema/config/field.ts";
import { type AGENT, MANAGER, SERVER } from "../../schema/config/server.ts";
import { formatDuration } from "../../schema/duration.ts";
import { isWildcard, parseListen } from "./address.ts";
import type { Section } from "./section.ts";
import { readMapping, readPart } from "./table.ts";

const LISTEN = ":50051";
/** A node counts as silent after this many intervals: two lost heartbeats and a late third. */
const HEARTBEATS_MISSED = 3;

const RETRY_MAX_MS = 60_000;

export type ServerOptions = {
  /** Port 0 is allowed: the caller reports the real one. */
  portZero: boolean;
  /** The caller knows an address at which nodes reach the server. */
  externalAddress: boolean;
};

export type AgentPart = PartOf<typeof AGENT>;

export function readServer(
  server: Section,
  manager: Section,
  agent: AgentPart,
  options: ServerOptions,
): ServerConfig {
  const part = readPart(server, SERVER);
  const listen = readListen(server, options);
  const known = part.heartbeatIntervalMs !== null || !server.has("heartbeat_interval");
  const { notifier, tls, ...config } = fillTable(SERVER, part, agent);
  if (isWildcard(listen.host) && config.externalAddress === null && !options.externalAddress) {
    const message = "listens on every interface, which does not tell nodes what to dial";
    server.warn("address", "wildcard", message, "set server.external_address");
  }
  const { heartbeatIntervalMs: beat } = config;
  const heartbeatTimeoutMs = config.heartbeatTimeoutMs ?? HEARTBEATS_MISSED * beat;
  if (known) checkHeartbeat(server, beat, heartbeatTimeoutMs);
  server.finish();
  const isTls = tls.ownCa || (tls.certFile !== null && tls.keyFile !== null);
  return {
    ...listen,
    ...config,
    externalAddress: withScheme(config.externalAddress, isTls),
    heartbeatTimeoutMs,
    notifier: notifierOf(notifier),
    tls: isTls ? tls : null,
    ...fillTable(MANAGER, readMapping(manager, MANAGER)),
  };
}

/** `host:port` is dialled as the control plane serves it. */
function withScheme(address: string | null, isTls: boolean): string | null {
  if (address === null || /^https?:/i.test(address)) return address;
  return `${isTls ? "https" : "http"}://${address}`;
}

function readListen(server: Section, options: ServerOptions): { host: string; port: number } {
  const text = server.text("address");
  const answer = parseListen(text ?? LISTEN);
  if (!answer.ok) {
    server.fail("address", "address", answer.message, answer.hint);
    return { host: "", port: 1 };
  }
  if (answer.value.port === 0 && !options.portZero) {
    const message = "port 0 is allowed only with --test-port-file";
    server.fail("address", "range", message, `the default is ${LISTEN}`);
  }
  return answer.value;
}

function checkHeartbeat(server: Section, beatMs: number, timeoutMs: number): void {
  const [timed, beat] = [timeoutMs, beatMs].map(formatDuration);
  if (timeoutMs <= beatMs) {
    const message = `${timed} must be above heartbeat_interval ${beat}, best twice as long`;
    server.fail("heartbeat_timeout", "range", message);
  } else if (timeoutMs < 2 * beatMs) {
    const message = `${timed} is less than twice heartbeat_interval ${beat}`;
    const hint = "one lost heartbeat makes a healthy node silent";
    server.warn("heartbeat_timeout", "range", message, hint);
  }
}

type Notifier = ValueOf<typeof SERVER>["notifier"];

function notifierOf({ type, webhook }: Notifier): NotifierConfig {
  if (type === "noop") return { type };
  const { attempts, initialMs, maxMs } = webhook.retry;
  const retry = { attempts, initialMs, maxMs: maxMs ?? Math.max(RETRY_MAX_MS, initialMs) };
  return { type, ...webhook, retry };
}
