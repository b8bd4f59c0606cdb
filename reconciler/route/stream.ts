/**
 * The agents' WebSocket: text frames, a report up, a reply or an error down, in order. A slow or
 * silent agent is closed by limits, not by luck.
 *
 * Adapter: network (the server's socket callbacks).
 */
import type { ServerWebSocket } from "bun";
import { LIMIT } from "../../schema/limit.ts";
import type { RoutePorts } from "./app.ts";
import { takeReport } from "./agent.ts";
import { refuseStranger } from "./gate.ts";

/**
 * The header is kept and not the principal: a revoked or expired token ends with its next frame.
 */
export type StreamData = {
  header: string | null;
  tail: Promise<void>;
  queued: number;
  /** Address of the agent's end. */
  remote?: string;
};

/**
 * Frames of one agent that may wait for the store: more means that it does not wait for replies.
 */
const QUEUED_MAX = 16;

const STREAM_PATH = "/v1/agent/stream";

/** Of every agent's socket, whoever answers on it. */
export const STREAM_LIMITS = {
  maxPayloadLength: LIMIT.reportBytesMax,
  // Three missed default heartbeats; the socket itself pings in between.
  idleTimeout: 120,
  backpressureLimit: 1024 * 1024,
  closeOnBackpressureLimit: true,
  perMessageDeflate: false,
} as const;

/** What is done about an agent's socket, by whom this process is at the moment. */
export type Streams<T extends StreamData> = {
  open(socket: ServerWebSocket<T>): void;
  message(socket: ServerWebSocket<T>, frame: string | Buffer): void;
  close(socket: ServerWebSocket<T>): void;
};

export function openStreams<T extends StreamData>(ports: RoutePorts): Streams<T> {
  return {
    open: () => ports.metrics.countStream(1),
    close: () => ports.metrics.countStream(-1),
    message(socket, frame) {
      if (socket.data.queued >= QUEUED_MAX)
        return void socket.close(1008, "too many unanswered reports");
      socket.data.queued++;
      socket.data.tail = socket.data.tail.then(() => answer(ports, socket, frame));
    },
  };
}

async function answer(
  ports: RoutePorts,
  socket: { data: StreamData } & Pick<ServerWebSocket, "send" | "close">,
  frame: string | Buffer,
): Promise<void> {
  const started = ports.clock.monoMs();
  try {
    let raw: unknown;
    try {
      raw = JSON.parse(String(frame));
    } catch {
      // The parser's own words repeat the frame, which may be anything: a credential, too.
      send(socket, { error: { code: "invalid_argument", message: "frame is not JSON" } });
      return;
    }
    const judged = ports.authority.judge(socket.data.header, ports.clock.wallMs());
    const remote = socket.data.remote ?? "";
    if (judged.kind === "rejected") {
      // It came in with a good token, which was taken back since then.
      refuseStranger(ports, judged, { remote, path: STREAM_PATH, method: "REPORT" });
      return void socket.close(1008, "the token is no longer valid");
    }
    const taken = await takeReport(ports, judged.principal, raw, { remote, request: "" });
    ports.metrics.observeIngest(ports.clock.monoMs() - started);
    if (taken.kind === "reply") send(socket, taken.reply);
    else send(socket, { error: { code: taken.code, message: taken.message } });
  } catch (error) {
    ports.log("error", "report failed", { error: String(error) });
    socket.close(1011, "internal error");
  } finally {
    socket.data.queued--;
  }
}

function send(socket: Pick<ServerWebSocket, "send">, value: unknown): void {
  socket.send(JSON.stringify(value));
}
