/**
 * The agents' WebSocket: text frames, a report up, a reply or an error down, in order. A slow or
 * silent agent is closed by limits, not by luck.
 *
 * Adapter: network (the server's socket callbacks).
 */
import type { ServerWebSocket } from "bun";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { RoutePorts } from "./app.ts";
import { type ReportAnswer, takeReport, throttled } from "./agent.ts";
import { refuseStranger } from "./gate.ts";
import { VIOLATION } from "./named.ts";

/**
 * The header is kept and not the principal: a revoked or expired token ends with its next frame.
 */
export type StreamData = {
  header: string | null;
  tail: Promise<void>;
  queued: number;
  /** Whose connection it is; `null` until a token that many share has said a node's report. */
  node: NodeId | null;
  /** Under which its reports and bytes are counted. */
  quotaKey: string;
  /** Frames in a row that came before the time at which they were asked to. */
  early: number;
  /** Address of the agent's end. */
  remote?: string;
};

/**
 * Frames of one agent that may wait for the store: more means that it does not wait for replies.
 */
const QUEUED_MAX = 16;

/** Frames in a row that an agent may send although it was asked to wait. */
export const EARLY_MAX = 16;
/** Bytes of all agents' frames that wait; beyond it each agent has one frame waiting. */
const QUEUED_BYTES_MAX = 32 * 1024 * 1024;

const STREAM_PATH = "/v1/agent/stream";

/** For every agent's socket, served by this replica or forwarded. */
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

/** `named` is told which node a connection turned out to be. */
export function openStreams<T extends StreamData>(
  ports: RoutePorts,
  named: (socket: ServerWebSocket<T>, node: NodeId) => void,
): Streams<T> {
  let queuedBytes = 0;
  return {
    open: () => ports.metrics.countStream(1),
    close: () => ports.metrics.countStream(-1),
    message(socket, frame) {
      const { data } = socket;
      if (data.queued >= QUEUED_MAX)
        return void socket.close(VIOLATION, "too many unanswered reports");
      const { length } = frame;
      const full = data.queued > 0 && queuedBytes + length > QUEUED_BYTES_MAX;
      const waitMs = full ? FULL_WAIT_MS : askToWait(ports, socket, length);
      if (waitMs === null) return;
      data.queued++;
      if (waitMs > 0) {
        // The frame itself is let go; the order of answers stays that of reports.
        data.tail = data.tail.then(() => {
          data.queued--;
          tellError(socket, throttled(ports, waitMs));
        });
        return;
      }
      queuedBytes += length;
      data.tail = data.tail
        .then(() => answer(ports, socket, frame, (node) => named(socket, node)))
        .finally(() => (queuedBytes -= length));
    },
  };
}

/** How long to wait where the frames of all agents together are too many. */
const FULL_WAIT_MS = 1_000;

/**
 * Counts a frame against what its agent may send. 0 = it may, else the milliseconds to wait; `null`
 * = the connection was closed, because the agent does not wait.
 */
export function askToWait<T extends StreamData>(
  { quota }: Pick<RoutePorts, "quota">,
  socket: ServerWebSocket<T>,
  bytes: number,
): number | null {
  const { data } = socket;
  const waitMs = quota.take(data.quotaKey, { reports: 1, bytes });
  data.early = waitMs === 0 ? 0 : data.early + 1;
  if (data.early <= EARLY_MAX) return waitMs;
  socket.close(VIOLATION, "reports arrive faster than the interval set for this node");
  return null;
}

async function answer(
  ports: RoutePorts,
  socket: { data: StreamData } & Pick<ServerWebSocket, "send" | "close">,
  frame: string | Buffer,
  named: (node: NodeId) => void,
): Promise<void> {
  const started = ports.clock.monoMs();
  try {
    let raw: unknown;
    try {
      raw = JSON.parse(String(frame));
    } catch {
      // The parser's own words repeat the frame, which may be anything: a credential, too.
      const message = "frame is not JSON";
      return tellError(socket, { kind: "error", code: "invalid_argument", message });
    }
    const judged = ports.authority.judge(socket.data.header, ports.clock.wallMs());
    const remote = socket.data.remote ?? "";
    if (judged.kind === "rejected") {
      // It came in with a good token, which was taken back since then.
      refuseStranger(ports, judged, { remote, path: STREAM_PATH, method: "REPORT" });
      return void socket.close(VIOLATION, "the token is no longer valid");
    }
    const taken = await takeReport(ports, judged.principal, raw, { remote, request: "" });
    ports.metrics.observeIngest(ports.clock.monoMs() - started);
    if (taken.kind === "error") return tellError(socket, taken);
    if (socket.data.node === null) named(taken.reply.node_id);
    send(socket, taken.reply);
  } catch (error) {
    ports.log("error", "report failed", { error: String(error) });
    socket.close(1011, "internal error");
  } finally {
    socket.data.queued--;
  }
}

function tellError(
  socket: Pick<ServerWebSocket, "send">,
  { code, message, retryMs }: Extract<ReportAnswer, { kind: "error" }>,
): void {
  const details = retryMs === undefined ? {} : { details: { retry_after_ms: retryMs } };
  send(socket, { error: { code, message, ...details } });
}

function send(socket: Pick<ServerWebSocket, "send">, value: unknown): void {
  socket.send(JSON.stringify(value));
}
