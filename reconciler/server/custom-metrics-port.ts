/**
 * The port of `custom.metrics.k8s.io` (`server.custom_metrics`), behind the aggregation layer of
 * the API server. The certificate is of an authority of our own. The caller must show the
 * certificate of the API server's front proxy, whose authority and names the cluster publishes, and
 * name the user; the API server has authorised that user, so no further review is asked for.
 *
 * Bun's `node:https` gives no certificate of a client, so a TLS server hands its sockets to an HTTP
 * server.
 *
 * Adapter: network, files.
 */
import { mkdirSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import type { Config } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { TaskTable } from "../core/store-table.ts";
import { answerMetrics, type CustomMetricsFrom, metricStatus } from "../http/custom-metrics.ts";
import { type FrontProxy, keepAuthority } from "../kubernetes/aggregation.ts";
import { listMetricPods, readFrontProxy } from "../kubernetes/aggregation.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { addressOf } from "./open-start.ts";
import { whyUnfit } from "../security/tls/fit.ts";
import { openOwnAuthority, openServerTls, openSharedAuthority } from "../security/tls/own.ts";

/** How often certificate and front proxy are looked at, and how often while nothing listens. */
const LOOK_MS = 60_000;
const DEAF_MS = 10_000;
const HANDSHAKE_MS = 5_000;
const IDLE_MS = 120_000;
/** One API server keeps a few connections; each replica of it has its own. */
const SOCKETS_MAX = 256;
const HEADER_BYTES_MAX = 32_768;
/** As the gauge `ml_processing_time_seconds`. */
const MEAN_MS = 300_000;
const UNSERVED = "custom metrics are not served";

export type CustomMetricsPort = { port(): number | null; stop(): Promise<void> };

type Ports = {
  api: KubeApi;
  store: { taskTable(): Pick<TaskTable, "depth" | "meanMs"> };
  /** `addr` overrides `server.address`; a dry run does not write the APIService. */
  options: { addr?: string; dryRun: boolean };
  state: string;
  identity: { fleetId: string };
  /** See `OpenTlsFrom`. */
  first: ((key: string, value: string) => Promise<string>) | null;
  clock: Clock;
  log: Log;
};

type At = { host: string; port: number; service: { namespace: string; name: string } };
type Shown = { cert: string; key: string; clientCa: string };
type Listening = { port: number; stop(): Promise<void> };

/** Opens once the cluster has told its front proxy; failures are logged. `null`: not configured. */
export function openCustomMetrics(
  config: Config,
  { api, ...ports }: Omit<Ports, "api"> & { api: KubeApi | null },
): CustomMetricsPort | null {
  const { port, service } = config.server.customMetrics;
  if (port === 0) return null;
  if (api === null) {
    ports.log("warn", UNSERVED, { why: "no Kubernetes cluster is attached" });
    return null;
  }
  const [namespace = "", name = ""] = service.split("/");
  const { host } = addressOf(ports.options.addr, config);
  return new Port({ ...ports, api }, { host, port, service: { namespace, name } });
}

class Port implements CustomMetricsPort {
  private readonly ports: Ports;
  private readonly at: At;
  private proxy: FrontProxy | null = null;
  private shown: Shown | null = null;
  private listening: Listening | null = null;
  private looking: Promise<void>;
  private cancel = (): void => undefined;
  private isStopped = false;
  private readonly logged = new Map<string, string>();
  private readonly from: CustomMetricsFrom;

  constructor(ports: Ports, at: At) {
    this.ports = ports;
    this.at = at;
    const { api, store, clock } = ports;
    const table = store.taskTable();
    this.from = {
      pods: (namespace, labelSelector) => listMetricPods(api, namespace, labelSelector),
      // From the database, so that a standby answers as the leader does.
      depth: () => table.depth(),
      meanSeconds: async () => ((await table.meanMs(clock.wallMs() - MEAN_MS)) ?? 0) / 1_000,
      wallMs: () => clock.wallMs(),
    };
    this.looking = this.look();
  }

  port(): number | null {
    return this.listening?.port ?? null;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancel();
    await this.looking;
    await this.listening?.stop();
  }

  private async look(): Promise<void> {
    await this.attempt(UNSERVED, () => this.show());
    if (this.isStopped) return;
    this.cancel = this.ports.clock.after(this.listening === null ? DEAF_MS : LOOK_MS, () => {
      this.looking = this.look();
    });
  }

  /** A lasting problem is logged once. */
  private async attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.logged.delete(what);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (this.logged.get(what) !== why) this.ports.log("warn", what, { why });
      this.logged.set(what, why);
    }
  }

  private async show(): Promise<void> {
    const { api, options, log } = this.ports;
    const proxy = await readFrontProxy(api);
    const { cert, key, ca } = await this.certificate();
    const next: Shown = { cert, key, clientCa: proxy.ca };
    const isSame = next.cert === this.shown?.cert && next.clientCa === this.shown.clientCa;
    if (!isSame) {
      const unfit = whyUnfit({ ...next, ...NO_OTHERS });
      if (unfit !== null) throw new Error(unfit);
    }
    if (this.isStopped) return;
    this.proxy = proxy;
    if (!isSame || this.listening === null) await this.listen(next);
    if (options.dryRun) return;
    await this.attempt("the APIService of custom metrics is not kept", async () => {
      const kept = await keepAuthority(api, this.at.service, ca);
      if (kept === "written") log("info", "wrote the authority into the APIService");
    });
  }

  private async certificate(): Promise<{ cert: string; key: string; ca: string }> {
    const { state, identity, first, clock } = this.ports;
    const { fleetId } = identity;
    // Apart from the API's own: a command line trusts what it finds there.
    const folder = join(state, "custom-metrics");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const now = clock.wallMs();
    const authority =
      first === null
        ? openOwnAuthority(folder, fleetId, now)
        : await openSharedAuthority(folder, fleetId, now, first);
    const { namespace, name } = this.at.service;
    const host = `${name}.${namespace}.svc`;
    return openServerTls(folder, authority, [host, `${host}.cluster.local`], now);
  }

  private async listen(shown: Shown): Promise<void> {
    await this.listening?.stop();
    this.listening = null;
    this.shown = null;
    const { host, port } = this.at;
    const at = { host: host === "" ? "::" : host, port };
    this.listening = await listenTls(shown, at, (request, response) => {
      void this.answer(request, response);
    });
    this.shown = shown;
    this.ports.log("info", "custom metrics", { port: this.listening.port });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await this.answerTo(request).catch((error: unknown) => {
      this.ports.log("error", "custom metrics failed", { error: String(error) });
      return metricStatus(500, "internal error; see the log of the control plane");
    });
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  }

  private async answerTo(request: IncomingMessage) {
    const { proxy } = this;
    const name = request.socket instanceof TLSSocket ? nameOf(request.socket) : null;
    if (proxy === null || name === null || !isAllowed(proxy, name)) {
      return metricStatus(401, "only the front proxy of the API server may ask");
    }
    const user = proxy.userHeaders.map((key) => request.headers[key]).find((one) => one);
    if (user === undefined) return metricStatus(401, "the front proxy names no user");
    if (request.method !== "GET") return metricStatus(405, "only GET is served");
    const url = URL.parse(request.url ?? "", "http://none.invalid");
    return url === null ? metricStatus(400, "bad path") : answerMetrics(url, this.from);
  }
}

const NO_OTHERS = { client: null, clientFor: null, ca: null, fingerprint: null, renewAtMs: null };

/** The common name of a certificate that was verified; `null` without a single one. */
function nameOf(socket: TLSSocket): string | null {
  const name: unknown = socket.authorized ? socket.getPeerCertificate().subject?.CN : null;
  return typeof name === "string" ? name : null;
}

const isAllowed = ({ names }: FrontProxy, name: string): boolean =>
  names.length === 0 || names.includes(name);

/** Rejects if it cannot bind. */
function listenTls(
  { cert, key, clientCa }: Shown,
  at: { host: string; port: number },
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Listening> {
  const http = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, answer);
  const open = new Set<TLSSocket>();
  const client = { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  const options = { cert, key, ...client, ALPNProtocols: ["http/1.1"] };
  const server = createTlsServer({ ...options, handshakeTimeout: HANDSHAKE_MS }, (socket) => {
    socket.on("error", () => socket.destroy());
    if (open.size >= SOCKETS_MAX) return void socket.destroy();
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    http.emit("connection", socket);
  });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.port, at.host, () => {
      server.off("error", reject);
      server.on("error", () => undefined);
      resolve({ port: (server.address() as AddressInfo).port, stop });
    });
  });
}
