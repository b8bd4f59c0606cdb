/**
 * What a standby does with work that only the leader can do: it forwards requests and the agents'
 * streams unchanged, credentials included. So agents and commands may use any replica's address. A
 * request is forwarded once: a standby that receives one from another answers 503 and
 * `Retry-After`, and the caller retries.
 *
 * Adapter: network.
 */
import type { ServerWebSocket } from "bun";
import { blockOf } from "../../security/audit/logins.ts";
import type { Clock } from "../../core/clock.ts";
import type { PeerTls } from "../../security/tls/open.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { refuseUpgrade, type RoutePorts } from "./app.ts";
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
 * An address whose unknown tokens the leader no longer answers is asked about this often. A token
 * made a moment ago waits no longer than that, or until the copy has it.
 */
const ASK_AGAIN_MS = 1_000;
/** Addresses remembered at once. */
const DEFERRED_MAX = 10_000;
/** Frames of one agent that may wait for the leader's socket, as many as for the store. */
const FRAMES_MAX = 16;
/** Bytes of one agent that may wait for the leader, before its socket is open and after. */
const WAITING_BYTES_MAX = 2 * LIMIT.reportBytesMax;
const PROBE_MS = 1_000;

/** Headers of one connection, which mean nothing on the next one. */
const OWN_HEADERS = ["host", "connection", "keep-alive", "transfer-encoding", "upgrade"];

/** What describes a body, and is left out where there is none. */
const BODY_HEADERS = ["content-length", "content-encoding", "expect"];

/** An agent's socket and the one to the leader behind it. */
export type ProxyData = StreamData & { upstream: WebSocket | null; waiting: string[] };

export class Forward {
  private readonly from: {
    clock: Clock;
    leader(): string | null;
    peer(): PeerTls | null;
    sign: Sign;
  };
  private open = 0;
  private questions = 0;
  /** Addresses that failed too often, and from when on they are asked about again. */
  private readonly deferred = new Map<string, number>();
  private probed: { atMono: number; problem: Promise<string | null> } | null = null;

  /**
   * `leader` is the URL that the lease names, or `null` while nobody is known to lead; `peer` is
   * whom replicas trust and what they show each other; `sign` proves for whom a call is passed on.
   */
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
    const base = this.from.leader();
    if (base === null) return away("no leader at present");
    if (this.open >= REQUESTS_MAX) return away("too many requests are being forwarded");
    const headers = this.headersOf(request, remote);
    this.open++;
    try {
      const body = await request.arrayBuffer();
      const answer = await fetch(this.targetOf(request, base), {
        method: request.method,
        headers,
        // A token must not follow a redirect to another host.
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_MS),
        ...(body.byteLength === 0 ? {} : { body }),
        ...this.tls(),
      });
      const given = new Headers(answer.headers);
      // The body comes unpacked, and its length with it.
      for (const name of [...OWN_HEADERS, "content-encoding", "content-length"]) given.delete(name);
      return new Response(await answer.arrayBuffer(), { status: answer.status, headers: given });
    } catch (error) {
      return away(`the leader does not answer: ${String(error)}`);
    } finally {
      this.open--;
    }
  }

  /**
   * Asks the leader whether it knows a caller that this replica does not, with the request's head
   * alone. `null` if it does, else the answer to the caller.
   */
  async ask(request: Request, remote: string): Promise<Response | null> {
    const refused = this.refusal(request);
    if (refused !== null) return refused;
    const address = blockOf(remote);
    if (this.from.clock.monoMs() < (this.deferred.get(address) ?? 0)) return tooMany();
    const base = this.from.leader();
    if (base === null) return away("no leader at present");
    if (this.questions >= QUESTIONS_MAX) return away("too many unknown callers at once");
    const headers = this.headersOf(request, remote);
    for (const name of BODY_HEADERS) headers.delete(name);
    this.questions++;
    try {
      const answer = await fetch(this.targetOf(request, base), {
        // A GET changes nothing, and its refusal has a body with the reason.
        method: "GET",
        headers,
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_MS),
        ...this.tls(),
      });
      const { status } = answer;
      if (status === 429) this.defer(address);
      if (status !== 401 && status !== 429 && status !== 503) {
        await answer.body?.cancel();
        return null;
      }
      const given = new Headers(answer.headers);
      for (const name of [...OWN_HEADERS, ...BODY_HEADERS]) given.delete(name);
      return new Response(await answer.arrayBuffer(), { status, headers: given });
    } catch (error) {
      return away(`the leader does not answer: ${String(error)}`);
    } finally {
      this.questions--;
    }
  }

  private headersOf(request: Request, remote: string): Headers {
    const headers = new Headers(request.headers);
    for (const name of OWN_HEADERS) headers.delete(name);
    headers.set(HOP, this.hop(remote));
    return headers;
  }

  private targetOf(request: Request, base: string): string {
    const { pathname, search } = new URL(request.url, "http://none");
    return `${base}${pathname}${search}`;
  }

  private defer(address: string): void {
    if (this.deferred.size >= DEFERRED_MAX) this.deferred.clear();
    this.deferred.set(address, this.from.clock.monoMs() + ASK_AGAIN_MS);
  }

  /** Why a stream or request is not passed on at all. */
  refusal(request: Request): Response | null {
    if (request.headers.get(HOP) === null) return null;
    return away("the request was forwarded to this control plane, which is not the leader");
  }

  /** Pipes an agent's frames to the leader and back; either end's close is the other's. */
  streams<T extends ProxyData>(ports: Pick<RoutePorts, "quota">): Streams<T> {
    return {
      open: (socket) => this.connect(socket),
      message(socket, frame) {
        const waitMs = askToWait(ports, socket, frame.length);
        // The leader asked the agent to wait; a frame sent anyway is dropped.
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
    // 1013 "try again later": the agent keeps what was not acknowledged and connects again.
    upstream.onclose = () => socket.close(1013, "the leader's connection ended");
  }
}

/** Nothing was done; the same request may be repeated. */
export function away(message: string): Response {
  return refuseUpgrade("not_leader", message, { retryMs: 1_000 });
}

function tooMany(): Response {
  return refuseUpgrade("rate_limited", TOO_MANY, { retryMs: ASK_AGAIN_MS });
}
