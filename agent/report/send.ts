/**
 * Sends reports over one outbound WebSocket, or by `POST` where a proxy forbids upgrades. Each
 * report gets one reply, in order; the control plane may push in between. Every call ends by its
 * deadline and never rejects.
 *
 * Adapter: the network.
 */
import type { Report, ReportReply } from "../../schema/report.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { readBounded } from "../trust/bounded-text.ts";
import type { Clock, SendAnswer, Sender } from "../port/port.ts";
import { type DecodedFrame, decodeFrame } from "./reply.ts";
import type { TokenSource } from "./token.ts";
import type { Tls } from "../trust/trust.ts";

export type SendOptions = {
  /** From `parseAddress`. */
  base: string;
  tokens: TokenSource;
  clock: Clock;
  /** 0 ≤ x < 1. */
  random: () => number;
  agentVersion: string;
  timeoutMs?: number;
  /** How long `POST` is used before the WebSocket is tried again. */
  retryMs?: number;
  /** Authorities and client certificate; `null` = the system's defaults. */
  tls?: () => Tls | null;
  /** Logs a change of transport; never a secret. */
  note?: (message: string) => void;
};

/** The server's own limit is the same. */
export const SEND_TIMEOUT_MS = 10_000;
/** A proxy that forbids upgrades rarely changes; a failed try costs one request. */
const POST_MS = 180_000;
/** Missing replies over an open WebSocket before `POST` is used instead. */
const SILENCES_MAX = 2;
/** A reply with 32 commands is below 64 KiB. */
const REPLY_BYTES_MAX = 256 * 1024;

export function createSender(options: SendOptions): Sender {
  return new SocketSender(options);
}

class SocketSender implements Sender {
  readonly #options: SendOptions;
  readonly #timeoutMs: number;
  #socket: WebSocket | null = null;
  /** The secret with which the socket was opened; another one needs a new socket. */
  #openedWith: string | null = null;
  /** Settled once, by the reply, the end of the socket or the deadline. */
  #waiting: ((answer: SendAnswer) => void) | null = null;
  #heard: (reply: ReportReply) => void = () => {};
  #socketFromMs = 0;
  #silences = 0;
  #closed = false;

  constructor(options: SendOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? SEND_TIMEOUT_MS;
  }

  connected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  listen(heard: (reply: ReportReply) => void): void {
    this.#heard = heard;
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  /** An exception before sending, such as an invalid header, is an answer too. */
  async send(report: Report): Promise<SendAnswer> {
    return await this.#try(report).catch((cause: unknown): SendAnswer => {
      return { kind: "unreachable", message: explain(cause) };
    });
  }

  async #try(report: Report): Promise<SendAnswer> {
    if (this.#closed) return { kind: "unreachable", message: "closed" };
    const token = this.#options.tokens.current();
    const body = JSON.stringify(report);
    if (this.#socket && this.#openedWith !== (token?.value ?? null)) this.#drop();
    const useSocket = this.connected() || this.#options.clock.monoMs() >= this.#socketFromMs;
    const upgraded = useSocket && (this.connected() || (await this.#connect(token?.value ?? null)));
    const answer = upgraded ? await this.#ask(body) : await this.#post(body, token?.value ?? null);
    // A refused secret or an unreachable server proves nothing about upgrades.
    const taken = answer.kind === "reply" || answer.kind === "refused";
    if (useSocket && !upgraded && taken) this.#avoidSocket("upgrade refused");
    if (answer.kind === "unauthorized" && token) {
      this.#options.tokens.rejected(token.value);
      this.#drop();
    }
    if (answer.kind === "reply") this.#options.tokens.accepted(token?.value ?? null);
    return answer;
  }

  /** True once the WebSocket is open; false if it was refused, broken or too slow. */
  #connect(token: string | null): Promise<boolean> {
    const url = `${this.#options.base.replace(/^http/, "ws")}/v1/agent/stream`;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const socket = new WebSocket(url, { headers: this.#headers(token), ...this.#tls() });
    const cancel = this.#options.clock.after(this.#timeoutMs, () => {
      resolve(false);
      socket.close();
    });
    socket.onopen = () => {
      cancel();
      this.#socket = socket;
      this.#openedWith = token;
      resolve(true);
    };
    socket.onmessage = (event) => this.#hear(socket, event.data);
    // `onclose` follows every `onerror`.
    socket.onerror = () => {};
    socket.onclose = () => {
      cancel();
      resolve(false);
      if (this.#socket === socket) this.#drop();
    };
    return promise;
  }

  #ask(body: string): Promise<SendAnswer> {
    const { promise, resolve } = Promise.withResolvers<SendAnswer>();
    const cancel = this.#options.clock.after(this.#timeoutMs, () => {
      this.#silences++;
      // A late reply must not be taken for that of the next report.
      this.#drop(`no reply within ${this.#timeoutMs} ms`);
      if (this.#silences >= SILENCES_MAX) this.#avoidSocket("no replies over the WebSocket");
    });
    this.#waiting = (answer) => {
      cancel();
      this.#waiting = null;
      resolve(answer);
    };
    this.#socket?.send(body);
    return promise;
  }

  #hear(socket: WebSocket, data: unknown): void {
    if (this.#socket !== socket) return;
    if (typeof data !== "string" || data.length > REPLY_BYTES_MAX) {
      this.#drop("a frame that is no reply");
      return;
    }
    const frame = decodeFrame(data);
    this.#silences = 0;
    switch (frame.kind) {
      case "push":
        this.#heard(frame.reply);
        return;
      case "reply":
        this.#waiting?.(frame);
        return;
      case "error":
        this.#waiting?.(errorAnswer(frame));
        return;
      case "invalid":
        this.#drop(`unreadable reply: ${frame.why}`);
        return;
      default:
        unreachable(frame);
    }
  }

  async #post(body: string, token: string | null): Promise<SendAnswer> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      const response = await fetch(`${this.#options.base}/v1/agent/report`, {
        method: "POST",
        body,
        headers: { ...this.#headers(token), "content-type": "application/json" },
        signal,
        // A redirect would send the secret elsewhere.
        redirect: "manual",
        ...this.#tls(),
      });
      const text = await readBounded(response, REPLY_BYTES_MAX);
      return httpAnswer(response.status, text, response.headers.get("retry-after"));
    } catch (cause) {
      return { kind: "unreachable", message: explain(cause) };
    }
  }

  #tls(): { tls?: Tls } {
    const tls = this.#options.tls?.() ?? null;
    return tls === null ? {} : { tls };
  }

  #headers(token: string | null): Record<string, string> {
    const agent = { "user-agent": `navarch-node/${this.#options.agentVersion}` };
    return token === null ? agent : { ...agent, authorization: `Bearer ${token}` };
  }

  #avoidSocket(why: string): void {
    const { clock, random } = this.#options;
    const waitMs = (this.#options.retryMs ?? POST_MS) * (0.75 + random() / 2);
    this.#socketFromMs = clock.monoMs() + waitMs;
    this.#silences = 0;
    this.#options.note?.(`${why}: reports go by POST for ${Math.round(waitMs / 1000)} s`);
  }

  #drop(why = "connection lost"): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#openedWith = null;
    this.#waiting?.({ kind: "unreachable", message: why });
    socket?.close();
  }
}

/** Used when a rate limit states no time to wait. */
const RETRY_MS = 1_000;

/** By the code of the error body. */
function errorAnswer(error: Extract<DecodedFrame, { kind: "error" }>): SendAnswer {
  const { code, message, retryMs } = error;
  const text = `${code}: ${message}`;
  if (code === "rate_limited") {
    return { kind: "throttled", retryMs: retryMs ?? RETRY_MS, message: text };
  }
  const auth = code === "unauthenticated" || code === "permission_denied";
  if (auth) return { kind: "unauthorized", message: text };
  if (code === "node_unknown") return { kind: "refused", status: 404, message: text };
  const passing = ["unavailable", "not_leader", "internal"];
  if (passing.includes(code)) return { kind: "unreachable", message: text };
  return { kind: "refused", status: 400, message: text };
}

/** `retryAfter` is the header, in seconds. */
function httpAnswer(status: number, text: string, retryAfter: string | null): SendAnswer {
  const frame = decodeFrame(text);
  const said = frame.kind === "error" ? `${frame.code}: ${frame.message}` : "no error body";
  const message = `HTTP ${status} (${said})`;
  if (status >= 200 && status < 300) {
    if (frame.kind === "reply") return frame;
    const why = frame.kind === "invalid" ? frame.why : "not a reply";
    return { kind: "unreachable", message: `HTTP ${status} with an unreadable reply: ${why}` };
  }
  if (status === 401 || status === 403) return { kind: "unauthorized", message };
  if (status === 429) {
    const asked = frame.kind === "error" ? frame.retryMs : null;
    const seconds = /^\d{1,6}$/.test(retryAfter ?? "") ? Number(retryAfter) : null;
    const retryMs = asked ?? (seconds === null ? RETRY_MS : seconds * 1_000);
    return { kind: "throttled", retryMs, message };
  }
  const passing = status >= 500 || status === 408 || status === 425;
  if (passing || status < 400) return { kind: "unreachable", message };
  return { kind: "refused", status, message };
}

function explain(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = "code" in cause && typeof cause.code === "string" ? ` (${cause.code})` : "";
  return `${cause.message}${code}`.slice(0, 300);
}
