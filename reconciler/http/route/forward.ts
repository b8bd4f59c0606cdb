/**
 * Forwards from a standby to the leader: requests and agents' streams, unchanged, with their
 * credentials, so agents and commands may use any replica's address. A request is forwarded once: a
 * standby that receives a forwarded one answers 503 and `Retry-After`, and the caller retries.
 *
 * Adapter: network.
 */
import type { ServerWebSocket } from "bun";
import { blockOf } from "../../security/audit/logins.ts";
import type { Clock } from "../../core/clock.ts";
import type { PeerTls } from "../../security/tls/open.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { refuseUpgrade } from "./request.ts";
import type { AgentPorts } from "./agent.ts";
import { TOO_MANY } from "./gate.ts";
import { HOP, formatHop, type Sign } from "./hop.ts";
import { VIOLATION } from "./named.ts";
import { askToWait, type StreamData, type Streams } from "./stream.ts";

/** Above an order's own waiting time (3 s) and below the commands' timeout. */
const ANSWER_MS = 15_000;
/** Forwarded requests in flight; each may hold a body and an answer. */
const REQUESTS_MAX = 256;
/** Lookups of unknown callers in flight; they take no slot from known ones. */
const QUESTIONS_MAX = 32;
/**
 * Interval of lookups for an address whose unknown tokens the leader rate-limits. It also delays a
 * token that the leader has just made, unless this replica's copy has it sooner.
 */
const ASK_AGAIN_MS = 1_000;
/** Addresses remembered at once. */
const DEFERRED_MAX = 10_000;
/** Frames of one agent that may wait for the leader's socket, as many as for the store. */
const FRAMES_MAX = 16;
/** Bytes of one agent that may wait for the leader, before its socket is open and after. */
const WAITING_BYTES_MAX = 2 * LIMIT.reportBytesMax;
const PROBE_MS = 1_000;

/** Hop-by-hop headers. */
const OWN_HEADERS = ["host", "connection", "keep-alive", "transfer-encoding", "upgrade"];
/** Headers that describe a body; removed if there is none or it was decompressed. */
const BODY_HEADERS = ["content-length", "content-encoding", "expect"];

/** An agent's socket and the one to the leader behind it. */
export type ProxyData = StreamData & { upstream: WebSocket | null; waiting: string[] };

export class Forward {
  private readonly from: {
    clock: Clock;
    /** The URL in the lease; `null` = no leader is known. */
    leader(): string | null;
    /** What replicas trust and show each other in TLS. */
    peer(): PeerTls | null;
    /** Proves the caller's address to the leader. */
    sign: Sign;
  };
  private open = 0;
  private questions = 0;
  /** Addresses that failed too often, and when the leader is asked about them again. */
  private readonly deferred = new Map<string, number>();
  private probed: { atMono: number; problem: Promise<string | null> } | null = null;

  constructor(from: Forward["from"]) {
    this.from = from;
  }

  /** Why nothing can be forwarded now, for readiness; `null` if it can. */
  async problem(): Promise<string | null> {
    const mono = this.from.clock.monoMs();
    if (this.probed === null || mono - this.probed.atMono >= PROBE_MS) {
      this.probed = { atMono: mono, problem: this.probe() };
    }
    return this.probed.problem;
  }

  private tls(): { tls?: PeerTls } {
    const tls = this.from.peer();
    return tls === null ? {} : { tls };
  }

  private hop(remote: string): string {
    return formatHop(this.from.sign, remote, this.from.clock.wallMs());
  }

  private async probe(): Promise<string | null> {
    const base = this.from.leader();
    if (base === null) return "no leader";
    try {
      const signal = AbortSignal.timeout(PROBE_MS);
      const answer = await fetch(`${base}/healthz`, { signal, redirect: "error", ...this.tls() });
      await answer.arrayBuffer();
      return answer.ok ? null : `the leader at ${base} answers ${answer.status}`;
    } catch (error) {
      return `the leader at ${base} does not answer: ${String(error)}`;
    }
  }

  /** Forwards a request; its body, if any, is in memory. `remote` is the caller's address. */
  async request(request: Request, remote: string): Promise<Response> {
    const refused = this.refusal(request);
    if (refused !== null) return refused;
    if (this.open >= REQUESTS_MAX) return away("too many requests are being forwarded");
    this.open++;
    try {
      const { method } = request;
      const body = await request.arrayBuffer();
      const answer = await this.send(request, remote, {
        method,
        ...(body.byteLength === 0 ? {} : { body }),
      });
      return await answerOf(answer);
    } catch (error) {
      return away(`the leader does not answer: ${String(error)}`);
    } finally {
      this.open--;
    }
  }

  /**
   * Asks the leader, with the request's head alone, whether it knows a caller that this replica
   * does not. `null` if it does, else the answer to the caller.
   */
  async ask(request: Request, remote: string): Promise<Response | null> {
    const refused = this.refusal(request);
    if (refused !== null) return refused;
    const address = blockOf(remote);
    if (this.from.clock.monoMs() < (this.deferred.get(address) ?? 0)) {
      return refuseUpgrade("rate_limited", TOO_MANY, { retryMs: ASK_AGAIN_MS });
    }
    if (this.questions >= QUESTIONS_MAX) return away("too many unknown callers at once");
    this.questions++;
    try {
      // A GET changes nothing, and its refusal has a body with the reason.
      const answer = await this.send(request, remote, { method: "GET" });
      const { status } = answer;
      if (status === 429) this.defer(address);
      if (status === 401 || status === 429 || status === 503) return await answerOf(answer);
      await answer.body?.cancel();
      return null;
    } catch (error) {
      return away(`the leader does not answer: ${String(error)}`);
    } finally {
      this.questions--;
    }
  }

  private async send(
    { headers: given, url }: Request,
    remote: string,
    init: { method: string; body?: ArrayBuffer },
  ): Promise<Response> {
    const base = this.from.leader();
    if (base === null) return away("no leader at present");
    const { pathname, search } = new URL(url, "http://none");
    const headers = without(given, OWN_HEADERS);
    headers.set(HOP, this.hop(remote));
    // The leader sets the cookie of a page that its reader has over this replica's TLS.
    if (url.startsWith("https:")) headers.set("X-Forwarded-Proto", "https");
    return fetch(`${base}${pathname}${search}`, {
      ...init,
      headers: init.body === undefined ? without(headers, BODY_HEADERS) : headers,
      // A token must not follow a redirect to another host.
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
      ...this.tls(),
    });
  }

  private defer(address: string): void {
    if (this.deferred.size >= DEFERRED_MAX) this.deferred.clear();
    this.deferred.set(address, this.from.clock.monoMs() + ASK_AGAIN_MS);
  }

  /** Refuses a stream or request that was already forwarded once; `null` = not refused. */
  refusal(request: Request): Response | null {
    if (request.headers.get(HOP) === null) return null;
    return away("the request was forwarded to this control plane, which is not the leader");
  }

  /** Pipes an agent's frames to the leader and back; closing either end closes the other. */
  streams<T extends ProxyData>(ports: Pick<AgentPorts, "quota">): Streams<T> {
    return {
      open: (socket) => this.connect(socket),
      message(socket, frame) {
        const waitMs = askToWait(ports, socket, frame.length);
        // The socket was closed, because the agent ignores requested pauses.
        if (waitMs === null) return;
        if (waitMs > 0) return socket.close(VIOLATION, "reports arrive too fast");
        const { upstream, waiting } = socket.data;
        const open = upstream?.readyState === WebSocket.OPEN;
        const bytes = waiting.reduce((sum, text) => sum + text.length, 0);
        const waits = open ? upstream.bufferedAmount : bytes;
        if (waits + frame.length > WAITING_BYTES_MAX || waiting.length >= FRAMES_MAX)
          return socket.close(1013, "the leader does not answer");
        if (open) upstream.send(String(frame));
        else waiting.push(String(frame));
      },
      close(socket) {
        socket.data.upstream?.close();
      },
    };
  }

  private connect<T extends ProxyData>(socket: ServerWebSocket<T>): void {
    const base = this.from.leader();
    if (base === null) return socket.close(1013, "no leader at present");
    const { header } = socket.data;
    const auth = header === null ? {} : { authorization: header };
    const upstream = new WebSocket(`${base.replace(/^http/, "ws")}/v1/agent/stream`, {
      headers: { ...auth, [HOP]: this.hop(socket.data.remote ?? "") },
      ...this.tls(),
    });
    socket.data.upstream = upstream;
    upstream.onopen = () => {
      for (const frame of socket.data.waiting.splice(0)) upstream.send(frame);
    };
    upstream.onmessage = (event) => {
      if (typeof event.data === "string") socket.send(event.data);
    };
    upstream.onerror = () => undefined;
    // 1013 "try again later": the agent keeps what was not acknowledged and reconnects.
    upstream.onclose = () => socket.close(1013, "the leader's connection ended");
  }
}

function without(given: Headers, names: readonly string[]): Headers {
  const headers = new Headers(given);
  for (const name of names) headers.delete(name);
  return headers;
}

/** The leader's answer for the caller; `fetch` has unpacked its body. */
async function answerOf(answer: Response): Promise<Response> {
  const headers = without(answer.headers, [...OWN_HEADERS, ...BODY_HEADERS]);
  return new Response(await answer.arrayBuffer(), { status: answer.status, headers });
}

/** Nothing was done; the same request may be repeated. */
export function away(message: string): Response {
  return refuseUpgrade("not_leader", message, { retryMs: 1_000 });
}
