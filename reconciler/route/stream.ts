/**
 * The agents' WebSocket: text frames, a report up, a reply or an error down, in order. A slow or
 * silent agent is closed by limits, not by luck.
 *
 * Adapter: network (the server's socket callbacks).
 */
import type { ServerWebSocket, WebSocketHandler } from "bun";
import { LIMIT } from "../../schema/limit.ts";
import type { RoutePorts } from "./app.ts";
import { takeReport } from "./agent.ts";

/**
 * The header is kept and not the principal: a revoked or expired token ends with its next frame.
 */
export type StreamData = { header: string | null; tail: Promise<void>; queued: number };

/**
 * Frames of one agent that may wait for the store: more means that it does not wait for replies.
 */
const QUEUED_MAX = 16;

export function streamHandler(ports: RoutePorts): WebSocketHandler<StreamData> {
  return {
    maxPayloadLength: LIMIT.reportBytesMax,
    // Three missed default heartbeats; the socket itself pings in between.
    idleTimeout: 120,
    backpressureLimit: 1024 * 1024,
    closeOnBackpressureLimit: true,
    perMessageDeflate: false,
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
  socket: ServerWebSocket<StreamData>,
  frame: string | Buffer,
): Promise<void> {
  const started = ports.clock.monoMs();
  try {
    let raw: unknown;
    try {
      raw = JSON.parse(String(frame));
    } catch (error) {
      send(socket, {
        error: { code: "invalid_argument", message: `frame is not JSON: ${String(error)}` },
      });
      return;
    }
    const principal = ports.authority.identify(socket.data.header, ports.clock.wallMs());
    if (principal === null) return void socket.close(1008, "the token is no longer valid");
    const taken = await takeReport(ports, principal, raw);
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

function send(socket: ServerWebSocket<StreamData>, value: unknown): void {
  socket.send(JSON.stringify(value));
}
