/**
 * The agents' WebSocket: text frames, reports up, replies and errors down, in order. Limits close
 * the connection of a slow or silent agent.
 * Adapter: network (the server's socket callbacks).
 */
import type { ServerWebSocket } from "bun";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { type AgentPorts, type ReportAnswer, takeReport, throttled } from "./agent.ts";
import { refuseStranger } from "./gate.ts";
import { VIOLATION } from "./named.ts";

/** Keeps the header, not the principal: a revoked or expired token ends with its next frame. */
export type StreamData = {
  header: string | null;
  tail: Promise<void>;
  queued: number;
  /** `null` until a connection with a shared token has sent a node's report. */
  node: NodeId | null;
  /** Key of its rate limits. */
  quotaKey: string;
  /** Frames in a row that ignored a requested pause. */
  early: number;
  /** Address of the agent's end. */
  remote?: string;
};

/** Frames of one agent that may wait for the store; more means that it ignores replies. */
const QUEUED_MAX = 16;

/** Frames in a row that an agent may send during a requested pause. */
export const EARLY_MAX = 16;
/** Bytes of all agents' waiting frames; beyond it each agent may have one frame waiting. */
const QUEUED_BYTES_MAX = 32 * 1024 * 1024;

const STREAM_PATH = "/v1/agent/stream";

/** For every agent's socket, served by this replica or forwarded. */
export const STREAM_LIMITS = {
  maxPayloadLength: LIMIT.reportBytesMax,
  // Three missed default heartbeats; the socket also pings.
  idleTimeout: 120,
  backpressureLimit: 1024 * 1024,
  closeOnBackpressureLimit: true,
  perMessageDeflate: false,
} as const;

/** Serves agents' sockets; the leader and a standby do it differently. */
export type Streams<T extends StreamData> = {
  open(socket: ServerWebSocket<T>): void;
  message(socket: ServerWebSocket<T>, frame: string | Buffer): void;
  close(socket: ServerWebSocket<T>): void;
};

/** `named` is called when the node of a shared token's connection is known. */
export function openStreams<T extends StreamData>(
  ports: AgentPorts,
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
        // The frame is dropped; answers stay in the order of reports.
        data.tail = data.tail.then(() => {
          data.queued--;
          sendError(socket, throttled(ports, waitMs));
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

/** The pause when the waiting frames of all agents are too many. */
const FULL_WAIT_MS = 1_000;

/**
 * Counts a frame against its agent's limits. 0 = accepted, else milliseconds to wait; `null` = the
 * connection was closed, because the agent does not wait.
 */
export function askToWait<T extends StreamData>(
  { quota }: Pick<AgentPorts, "quota">,
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
  ports: AgentPorts,
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
      // The parser's own message would repeat the frame, which may hold a credential.
      const message = "frame is not JSON";
      return sendError(socket, { kind: "error", code: "invalid_argument", message });
    }
    const judged = ports.authority.judge(socket.data.header, ports.clock.wallMs());
    const remote = socket.data.remote ?? "";
    if (judged.kind === "rejected") {
      // The connection was opened with a valid token that was revoked since.
      refuseStranger(ports, judged, { remote, path: STREAM_PATH, method: "REPORT" });
      return void socket.close(VIOLATION, "the token is no longer valid");
    }
    const taken = await takeReport(ports, judged.principal, raw, { remote, request: "" });
    ports.metrics.observeIngest(ports.clock.monoMs() - started);
    if (taken.kind === "error") return sendError(socket, taken);
    if (socket.data.node === null) named(taken.reply.node_id);
    send(socket, taken.reply);
  } catch (error) {
    ports.log("error", "report failed", { error: String(error) });
    socket.close(1011, "internal error");
  } finally {
    socket.data.queued--;
  }
}

function sendError(
  socket: Pick<ServerWebSocket, "send">,
  { code, message, retryMs }: Extract<ReportAnswer, { kind: "error" }>,
): void {
  const details = retryMs === undefined ? {} : { details: { retry_after_ms: retryMs } };
  send(socket, { error: { code, message, ...details } });
}

function send(socket: Pick<ServerWebSocket, "send">, value: unknown): void {
  socket.send(JSON.stringify(value));
}
