/**
 * An address that opens the console for as long as this process lives. A link of the control plane
 * logs in once and for ten minutes only, so each visit is sent on to a fresh one.
 *
 * Adapter: a port of this machine.
 */
import { randomBytes } from "node:crypto";
import type { LoginLinkView } from "../../schema/credential.ts";

/** What of the control plane is needed. */
export type LinkedPlane = {
  readonly url: string;
  fetch(path: string, init: RequestInit): Promise<Response>;
};

const headers = { "Cache-Control": "no-store", "Referrer-Policy": "no-referrer" };

export function openConsoleLink(plane: LinkedPlane): { url: string; close(): Promise<void> } {
  // Other users of this machine can ask at the port, but do not know this.
  const path = `/${randomBytes(16).toString("base64url")}`;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const isLink = new URL(request.url).pathname === path && request.method === "GET";
      if (!isLink) return new Response("not found\n", { status: 404 });
      const answer = await plane.fetch("/api/v1/console/links", { method: "POST", body: "{}" });
      if (!answer.ok) return new Response("the control plane is not there\n", { status: 503 });
      const link = (await answer.json()) as LoginLinkView;
      const to = `${plane.url}${link.path}`;
      return new Response(null, { status: 303, headers: { ...headers, Location: to } });
    },
    error: () => new Response("the control plane is not there\n", { status: 503 }),
  });
  return {
    url: `http://127.0.0.1:${server.port}${path}`,
    close: () => server.stop(true),
  };
}
