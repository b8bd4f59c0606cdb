/**
 * The listening port: the HTTP application, and the upgrade of agents' streams. Plain HTTP/1.1. It
 * outlives the roles of this process and serves the current one, leader or standby.
 *
 * Adapter: network.
 */
import type { Server, ServerWebSocket } from "bun";
import { getPath } from "hono/utils/url";
import type { WorkerWord } from "../../../schema/agentpool.ts";
import type { Config } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Principal } from "../../security/auth.ts";
import { broughtTls, type ServerTls } from "../../security/tls/open.ts";
import { callerBehind } from "../../core/network.ts";
import { throttled } from "./agent.ts";
import { type App, isPage, sectionOf } from "./route.ts";
import { openApp } from "./app.ts";
import { refuseUpgrade } from "./request.ts";
import { whyCrossSite, whyForeign } from "./anonymous.ts";
import { bodiless, Bodies, type Caller, callerOf, closing, hasBody, strangerOf } from "./body.ts";
import { away, type Forward, type ProxyData } from "./forward.ts";
import { refuseStranger } from "./gate.ts";
import { HOP, readHop } from "./hop.ts";
import { Live } from "./live.ts";
import { NamedSockets } from "./named.ts";
import { asPage } from "./page-frame.ts";
import { maySign } from "./pipeline.ts";
import type { AnyPage } from "./page.ts";
import { findRoute, type GivenPorts } from "./table.ts";
import { EARLY_MAX, openStreams, STREAM_LIMITS, type Streams } from "./stream.ts";

const STREAM_PATHS = ["/v1/agent/stream", "/api/v1/agent/stream"];
/** Whether the path is one of the API, whose callers this port judges before their bodies. */
const isApi = (path: string): boolean => !isPage(path) && sectionOf(path) !== null;

/** WebSocket close codes (RFC 6455): "service restart" and "try again later". */
const MOVED = 1012;
const LATER = 1013;

/** A stream belongs to the role under which it began, and ends with it. */
type Socket = ProxyData & { front: Front };

/** What serves the port during one role of this process. */
export class Front {
  readonly ports: GivenPorts;
  private readonly app: App;
  readonly live: Live;
  readonly streams: Streams<Socket>;
  private readonly forward: Forward | null;
  private readonly refresh: () => Promise<void>;
  private readonly sockets = new Set<ServerWebSocket<Socket>>();
  private readonly named = new NamedSockets<Socket>();
  private serial = 0;
  private readonly waiting = new Set<() => void>();
  private readonly bodies: Bodies;
  private ended = false;

  /**
   * `standby` is `null` for a leader; `refresh` updates a standby's copy, so that a caller that
   * changed something through the standby sees the change there.
   */
  constructor(
    ports: GivenPorts,
    standby: { forward: Forward; refresh(): Promise<void> } | null,
    { bodies = new Bodies(), pages = [] }: { bodies?: Bodies; pages?: readonly AnyPage[] } = {},
  ) {
    this.ports = ports;
    this.bodies = bodies;
    this.live = new Live(ports);
    this.app = openApp(ports, { pages, live: this.live });
    this.forward = standby?.forward ?? null;
    this.refresh = standby?.refresh ?? (async () => undefined);
    this.streams =
      standby === null
        ? openStreams(ports, (socket, node) => this.named.name(socket, node))
        : standby.forward.streams(ports);
  }

  /** `socket` is the address of the socket's other end. */
  async answer(request: Request, pathname: string, socket = ""): Promise<Response> {
    const answer = await this.answerOf(request, pathname, socket);
    return isPage(pathname) ? asPage(answer) : answer;
  }

  private async answerOf(request: Request, pathname: string, socket: string): Promise<Response> {
    const remote = this.remoteOf(request, socket);
    const forReader = isPage(pathname);
    const foreign = sectionOf(pathname) === null ? null : this.foreign(request, forReader);
    const why = forReader ? this.crossSite(request) : null;
    const refused = foreign ?? (why === null ? null : refuseUpgrade("permission_denied", why));
    if (refused !== null) return closing(refused);
    if (!hasBody(request)) return this.route(request, pathname, remote);
    const caller = await this.admit(request, pathname, remote);
    if (caller instanceof Response) return closing(caller);
    const read = await this.bodies.read(request, caller);
    if (read.kind === "refused") return read.response;
    try {
      return await this.route(read.request, pathname, remote);
    } finally {
      read.release();
    }
  }

  /** The caller whose body may be read, or the answer to a request whose body is not read. */
  private async admit(
    request: Request,
    pathname: string,
    remote: string,
  ): Promise<Caller | Response> {
    const reads = request.method === "GET" || request.method === "HEAD";
    // No route may read a body that was not read within the limits.
    const own = () => this.app.fetch(bodiless(request), { remote });
    if (!reads && isPage(pathname)) return strangerOf(remote, "forms");
    if (reads || !isApi(pathname)) return own();
    if (this.ended) return away("leadership is moving");
    const route = findRoute(request.method, pathname);
    if (route?.access === "join") return strangerOf(remote, "joins");
    if (route?.access === "signature" && maySign(request)) {
      return strangerOf(remote, "signed reports");
    }
    const { authority, clock } = this.ports;
    const judged = authority.judge(request.headers.get("authorization"), clock.wallMs());
    if (judged.kind === "known") {
      const { principal } = judged;
      const refused = route?.access === "agent" ? this.paceOf(principal, request) : null;
      return refused ?? callerOf(principal, remote, route?.bytesMax);
    }
    if (this.forward === null) return own();
    // The leader may have made this token after the last copy. The leader also audits.
    const refusal = await this.forward.ask(request, remote);
    return refusal ?? strangerOf(remote, "calls");
  }

  /** The answer to a report that comes too soon; `null` = it may be read. */
  private paceOf({ node }: Principal, request: Request): Response | null {
    if (node === null) return null;
    const bytes = Number(request.headers.get("content-length") ?? LIMIT.reportBytesMax);
    const waitMs = this.ports.quota.take(node, { reports: 1, bytes });
    if (waitMs === 0) return null;
    const { code, message } = throttled(this.ports, waitMs);
    return refuseUpgrade(code, message, { retryMs: waitMs });
  }

  private async route(request: Request, pathname: string, remote: string): Promise<Response> {
    const own = (): Response | Promise<Response> => this.app.fetch(request, { remote });
    const reads = request.method === "GET" || request.method === "HEAD";
    const { forward } = this;
    if (this.ended && sectionOf(pathname) !== null) return away("leadership is moving");
    if (forward === null) return reads ? own() : this.change(own);
    if (isPage(pathname)) return this.leadersPage(forward, request, pathname, remote);
    if (!isApi(pathname)) return own();
    const route = findRoute(request.method, pathname);
    if (!reads) {
      const answer = await forward.request(request, remote);
      if (answer.ok && route?.access !== "agent") await this.refresh();
      return answer;
    }
    if (route !== null && "isLeaders" in route) {
      const answer = await forward.request(request, remote);
      return answer.status === 503 ? own() : answer;
    }
    const answer = await own();
    // The leader may have made this token after the last copy.
    if (answer.status === 401) return forward.request(request, remote);
    if (answer.status !== 403) return answer;
    // Only the leader can write the audit row of a refusal.
    const refused = await forward.request(request, remote);
    return refused.status === 503 ? answer : refused;
  }

  /** Pages are the leader's view: they show its queues, and their forms change what it decides. */
  private async leadersPage(
    forward: Forward,
    request: Request,
    pathname: string,
    remote: string,
  ): Promise<Response> {
    if (pathname === "/live") return away("this replica is a standby; read the page again");
    const reads = request.method === "GET" || request.method === "HEAD";
    const answer = await forward.request(request, remote);
    if (reads && answer.status === 503) return this.app.fetch(request, { remote, standby: true });
    if (!reads && answer.status < 400) await this.refresh();
    return answer;
  }

  /** Why a form is refused that another site's page has posted, or `null`. */
  private crossSite(request: Request): string | null {
    if (request.method === "GET" || request.method === "HEAD") return null;
    // The forwarding replica has checked it.
    return this.remoteOf(request, "") === "" ? whyCrossSite(request.headers) : null;
  }

  /** Refuses another site's page that would be admitted without a token; `null` = allowed. */
  private foreign(request: Request, forReader = false): Response | null {
    const { authority, clock, names, reconciler } = this.ports;
    if (!reconciler.activeConfig().server.auth.allowAnonymous) return null;
    const judged = authority.judge(request.headers.get("authorization"), clock.wallMs());
    if (judged.kind !== "known" || judged.principal.name !== "anonymous") return null;
    // The forwarding replica has checked it.
    if (this.remoteOf(request, "") !== "") return null;
    // A link to a page may stand anywhere: what it opens, the other site cannot read.
    const isLink = forReader && request.headers.get("sec-fetch-mode") === "navigate";
    const why = whyForeign(request.headers, names, isLink && request.method === "GET");
    return why === null ? null : refuseUpgrade("permission_denied", why);
  }

  /** The socket's other end, or the caller that a replica or a trusted proxy names. */
  private remoteOf(request: Request, socket: string): string {
    const { authority, clock, reconciler } = this.ports;
    const header = request.headers.get(HOP);
    const sign = (text: string): string => authority.sign(text);
    const named = header === null ? null : readHop(sign, header, clock.wallMs());
    if (named !== null) return named;
    const { trustedProxies } = reconciler.activeConfig().server.console;
    if (trustedProxies.length === 0) return socket;
    return callerBehind(socket, request.headers.get("x-forwarded-for"), trustedProxies);
  }

  upgrade(request: Request, server: Server<Socket>): Response | undefined {
    const refused = this.foreign(request) ?? this.forward?.refusal(request) ?? null;
    if (refused !== null) return refused;
    const { authority, clock } = this.ports;
    const header = request.headers.get("authorization");
    const remote = this.remoteOf(request, server.requestIP(request)?.address ?? "");
    const judged = authority.judge(header, clock.wallMs());
    if (judged.kind === "rejected") {
      return refuseStranger(this.ports, judged, {
        remote,
        path: new URL(request.url, "http://none").pathname,
      });
    }
    const { principal } = judged;
    if (principal.role !== "node" && principal.role !== "admin") {
      return refuseUpgrade("permission_denied", `role ${principal.role} may not report`);
    }
    const { node } = principal;
    const quotaKey = node ?? `connection ${++this.serial}`;
    const waitMs = this.ports.quota.take(quotaKey, { connections: 1 });
    // An agent sends by POST meanwhile, and opens a stream later.
    if (waitMs > 0) {
      return refuseUpgrade("rate_limited", "this node connects too often", { retryMs: waitMs });
    }
    const data: Socket = {
      header,
      tail: Promise.resolve(),
      queued: 0,
      node,
      quotaKey,
      early: 0,
      upstream: null,
      waiting: [],
      front: this,
      remote,
    };
    if (server.upgrade(request, { data })) return undefined;
    return refuseUpgrade("invalid_argument", "a WebSocket upgrade was expected");
  }

  opened(socket: ServerWebSocket<Socket>): void {
    if (this.ended) return socket.close(MOVED, "another control plane leads");
    if (!this.named.open(socket)) return socket.close(LATER, "too many agents connect at once");
    this.sockets.add(socket);
  }

  closed(socket: ServerWebSocket<Socket>): void {
    this.sockets.delete(socket);
    this.named.close(socket);
  }

  /** Tells a worker's agent at once; false if it has no connection here, and hears it later. */
  push(node: NodeId, worker: WorkerWord): boolean {
    const socket = this.named.get(node);
    const reply = this.ports.ingest.unasked(node);
    if (this.ended || socket === null || reply === null) return false;
    return socket.send(JSON.stringify({ push: { ...reply, worker } })) !== 0;
  }

  /** The role is over: waiting callers retry, and agents reconnect. */
  end(): void {
    this.ended = true;
    this.live.end();
    for (const giveUp of this.waiting) giveUp();
    for (const socket of this.sockets) socket.close(MOVED, "another control plane leads");
  }

  /** A change waits for the loop; if the loop ends, the caller must stop waiting. */
  private change(own: () => Response | Promise<Response>): Promise<Response> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => resolve(away("leadership has moved: check the result"));
      this.waiting.add(giveUp);
      Promise.resolve(own())
        .then(resolve, reject)
        .finally(() => this.waiting.delete(giveUp));
    });
  }
}

/**
 * Counts pings and pongs as reports: a gigabit carries 20 million a second, which would occupy this
 * process's whole core. Uses `terminate`, because `close` still reads all that was sent.
 */
function countControl(socket: ServerWebSocket<Socket>, payload: Buffer): void {
  const { data } = socket;
  const waits = data.front.ports.quota.take(data.quotaKey, { reports: 1, bytes: payload.length });
  data.early = waits === 0 ? data.early : data.early + 1;
  if (data.early > EARLY_MAX) socket.terminate();
}

/** Without a valid Host (HTTP/1.0 needs none) the URL is only a path, which the router rejects. */
function wholeOf(request: Request): Request {
  if (URL.canParse(request.url)) return request;
  const path = request.url.replace(/^\/*/, "/");
  return new Request(`http://none.invalid${path}`, request);
}

/** Binds `host:port`; an empty host is every interface. Throws if it cannot. */
export function listen(
  current: () => Front,
  config: Config,
  address: { host: string; port: number },
  tls: ServerTls | null = broughtTls(config),
): Server<Socket> {
  const asked = tls?.clientCa ?? null;
  const client = asked === null ? {} : { ca: asked, requestCert: true, rejectUnauthorized: true };
  const secure = tls === null ? {} : { tls: { cert: tls.cert, key: tls.key, ...client } };
  return Bun.serve<Socket>({
    port: address.port,
    hostname: address.host === "" ? "::" : address.host,
    // Closes a silent request; streams have their own timeout.
    idleTimeout: 60,
    // Only bounds memory: the routes' own limits answer first, with a message.
    maxRequestBodySize: LIMIT.requestBytesMax + 1_024,
    ...secure,
    websocket: {
      ...STREAM_LIMITS,
      open(socket) {
        socket.data.front.opened(socket);
        socket.data.front.streams.open(socket);
      },
      message: (socket, frame) => socket.data.front.streams.message(socket, frame),
      ping: (socket, payload) => countControl(socket, payload),
      pong: (socket, payload) => countControl(socket, payload),
      close(socket) {
        socket.data.front.closed(socket);
        socket.data.front.streams.close(socket);
      },
    },
    fetch(request, server) {
      const whole = wholeOf(request);
      // As the router decodes it (`%76` is a `v`): checks here must see what the routes see.
      const pathname = getPath(whole);
      const front = current();
      if (STREAM_PATHS.includes(pathname)) return front.upgrade(request, server);
      return front.answer(whole, pathname, server.requestIP(request)?.address ?? "");
    },
  });
}
