/**
 * One-time links that log a browser in as the person who made them. The leader keeps their digests
 * in memory: a link is gone once used, after ten minutes, and when another control plane leads.
 */
import type { Context } from "hono";
import type { LoginLinkView } from "../../../schema/credential.ts";
import { hashToken } from "../../security/auth.ts";
import type { Clock } from "../../core/clock.ts";
import { iso } from "../view/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { Refusal } from "./request.ts";

const LINK_MS = 10 * 60_000;
/** Open links in all, and of one person; the oldest makes way. */
const LINKS_MAX = 1_000;
const OWN_LINKS_MAX = 20;

/** Whose session a link begins: a credential's name, and the digest of the token that made it. */
export type LinkOwner = { name: string; proof: string };

export class LoginLinks {
  private readonly clock: Clock;
  private readonly open = new Map<string, LinkOwner & { untilMono: number }>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  add(code: string, owner: LinkOwner): void {
    const now = this.clock.monoMs();
    // The map's order is that of their ends.
    for (const [digest, { untilMono }] of this.open) {
      if (untilMono > now && this.open.size < LINKS_MAX) break;
      this.open.delete(digest);
    }
    const own = [...this.open].filter(([, { name }]) => name === owner.name);
    const [oldest] = own[0] ?? [];
    if (oldest !== undefined && own.length >= OWN_LINKS_MAX) this.open.delete(oldest);
    this.open.set(hashToken(code), { ...owner, untilMono: now + LINK_MS });
  }

  /** The owner of a code that is used now; `null` = unknown, used or too old. */
  take(code: string): LinkOwner | null {
    const digest = hashToken(code);
    const found = this.open.get(digest);
    this.open.delete(digest);
    return found === undefined || found.untilMono <= this.clock.monoMs() ? null : found;
  }
}

type LinkPorts = RoutePorts & { links: LoginLinks };

function create(c: Context<Env>, ports: LinkPorts): Response {
  const { name } = c.get("principal");
  const token = /^Bearer\s+(\S+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];
  if (token === undefined) {
    const message = "this fleet has no log-in (server.auth.allow_anonymous): open the console";
    throw new Refusal("conflict", message);
  }
  const code = ports.newSecret();
  ports.links.add(code, { name, proof: hashToken(token) });
  const path = `/login/once?code=${encodeURIComponent(code)}`;
  const view: LoginLinkView = { path, expires_at: iso(ports.clock.wallMs() + LINK_MS) };
  return c.json(view, 201);
}

export const linkRoutes: readonly Route<LinkPorts>[] = [
  {
    at: "POST /v1/console/links",
    access: "viewer",
    act: ["create", "login_link"],
    says: "a link that logs a browser in once, as the caller; `path` on the same address, 10 minutes",
    run: (c, ports) => create(c, ports),
  },
];
