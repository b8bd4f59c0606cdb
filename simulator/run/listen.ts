/**
 * Serves the control plane of a run on a local port, for the ordinary command line and curl.
 * Loopback only: its token is no secret.
 *
 * Adapter: network.
 */
import type { Plane } from "../stack/plane.ts";

const LOOPBACK = /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):(\d{1,5})$/;

export type ListenAnswer =
  | { ok: true; address: string; close: () => Promise<void> }
  | { ok: false; message: string };

/** Each request goes to the process that runs at that moment; without one the answer is 503. */
export function listenOn(address: string, plane: Plane, refresh: () => void): ListenAnswer {
  const match = LOOPBACK.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    const hint = "expected an address of the loopback, such as 127.0.0.1:0";
    return { ok: false, message: `${address}: ${hint}` };
  }
  const hostname = (match[1] ?? "").replace(/^\[|\]$/g, "");
  try {
    const server = Bun.serve({
      port,
      hostname,
      idleTimeout: 60,
      fetch(request) {
        const life = plane.life();
        if (life === null || !plane.isReachable()) return new Response("down\n", { status: 503 });
        refresh();
        return life.app.fetch(request);
      },
    });
    const at = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${server.port}`;
    return { ok: true, address: at, close: () => server.stop(true) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, message: `cannot listen on ${address}: ${reason}` };
  }
}
