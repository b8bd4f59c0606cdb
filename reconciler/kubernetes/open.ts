/**
 * Opens the cluster that the configuration or the environment names.
 *
 * Adapter: credentials on disk, the network.
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import { VERSION } from "../../schema/version.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { Scheduler } from "../core/kubernetes/scheduler.ts";
import type { KubeApi, KubeText } from "./api.ts";
import { openClient } from "./client.ts";
import { IN_CLUSTER, openTransport, ownNamespace } from "./connect.ts";
import { openJoin } from "./join-token.ts";
import { Kubernetes } from "./kubernetes.ts";
import { limited, Limiter } from "./limiter.ts";
import { heard } from "./refusal-log.ts";
import { openText } from "./text-client.ts";
import { agentAccountIn } from "./token-review.ts";

export type OpenedKubernetes =
  /** Disabled, or not found with `enabled: auto`. */
  | { kind: "none" }
  /** A cluster is configured but unusable: an error in its configuration. */
  | { kind: "failed"; message: string }
  /** `api` is the same connection without the limit on writes of marks and evictions. */
  | {
      kind: "ok";
      scheduler: Scheduler;
      server: string;
      api: KubeApi;
      /** Opens connections of the console's own; `end` closes them. */
      openConsoleCalls(): { api: KubeApi; texts: KubeText; end(): void };
    };

/** Concurrent calls of the console: its readers wait for each other and for nothing else. */
const CONSOLE_CALLS_MAX = 12;

export async function openKubernetes(
  config: KubernetesConfig,
  from: {
    env: Record<string, string | undefined>;
    clock: Clock;
    random: () => number;
    /** Cryptographically secure random bytes. */
    draw: (count: number) => Uint8Array;
    /** Name of this fleet. */
    fleet: string;
    log: Log;
    instance: string;
    /** Called for each write, once its outcome is known. */
    count: (pool: string, verb: string, resource: string) => void;
    /** Called when the server has acknowledged a mark of a session. */
    marked: (node: string) => void;
  },
): Promise<OpenedKubernetes> {
  const { clock, random, log, instance, count, marked } = from;
  const opened = await openTransport(config, from.env);
  if (opened.kind === "off" || opened.kind === "absent") return { kind: "none" };
  if (opened.kind === "failed") return opened;
  const { transport, warnings } = opened;
  for (const warning of warnings) log("warn", warning);
  const client = openClient(transport, {
    clock,
    count: (verb, resource, pool) => count(pool ?? "", verb, resource),
    userAgent: `navarch/${VERSION}`,
  });
  const limiter = new Limiter({ clock, perSecondMax: config.writesPerSecondMax });
  const isOptional = config.enabled === "auto";
  const api = heard(limited(client, limiter, clock), { clock, log, isOptional });
  const join = openJoin({
    api,
    wallMs: () => clock.wallMs(),
    draw: from.draw,
    fleet: from.fleet,
    server: config.join.server,
    async own() {
      const { server, name } = transport;
      return { server, isInCluster: name === IN_CLUSTER, ca: (await transport.tls()).ca ?? null };
    },
  });
  const own = transport.name === IN_CLUSTER ? await ownNamespace() : null;
  const agentAccount = config.agentAccount ?? (own === null ? null : agentAccountIn(own));
  const scheduler = new Kubernetes({
    api,
    join,
    limiter,
    server: `${transport.server} (${transport.name})`,
    instance,
    config: { ...config, agentAccount },
    clock,
    random,
    log,
    marked,
  });
  const openConsoleCalls = () => {
    const userAgent = `navarch-console/${VERSION}`;
    const ports = { clock, count: noteConsole, userAgent };
    const api = openClient(transport, ports, CONSOLE_CALLS_MAX);
    return { api, texts: openText(transport, { clock, userAgent }), end: () => api.close() };
  };
  const noteConsole = (verb: string, resource: string): void => count("", verb, resource);
  return { kind: "ok", scheduler, server: transport.server, api: client, openConsoleCalls };
}
