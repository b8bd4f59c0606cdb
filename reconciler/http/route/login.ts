/**
 * Log-in and log-out of the console. A token is exchanged for a session; failures count against
 * the address as failures of the API do.
 */
import type { Context } from "hono";
import { deleteCookie, setCookie } from "hono/cookie";
import { hashToken, type Judgement } from "../../security/auth.ts";
import { SESSION_MS } from "../../security/session.ts";
import { formatLogin, formatOnce } from "../page/form.ts";
import { type Env, isPage, type Route, type RoutePorts } from "./route.ts";
import { messageOf, remoteOf, suspectOf, TOO_MANY } from "./gate.ts";
import type { LoginLinks } from "./link.ts";
import type { ConsolePages } from "./page.ts";
import { isSecure, readForm, SESSION_COOKIE } from "./page-frame.ts";
import { Refusal } from "./request.ts";

export class Login {
  private readonly pages: ConsolePages;
  private readonly ports: RoutePorts;
  private readonly links: LoginLinks;

  constructor(pages: ConsolePages, ports: RoutePorts, links: LoginLinks) {
    this.links = links;
    this.pages = pages;
    this.ports = ports;
  }

  /** The form; a reader that is logged in is sent on. */
  form(c: Context<Env>): Response {
    const next = nextOf(c.req.query("next"));
    if (this.pages.reader(c) !== null) return this.pages.redirect(c, next);
    return this.pages.send(c, formatLogin(next, null));
  }

  async login(c: Context<Env>): Promise<Response> {
    const form = await readForm(c);
    const next = nextOf(form.get("next"));
    const token = (form.get("token") ?? "").trim();
    const { authority, clock } = this.ports;
    const now = clock.wallMs();
    // An empty token must not become the anonymous administrator.
    const judged = token === "" ? ABSENT : authority.judge(`Bearer ${token}`, now);
    if (judged.kind === "rejected") return this.failed(c, next, judged);
    const { principal } = judged;
    c.set("principal", principal);
    if (principal.role === "node" || principal.role === "slurm") {
      const message = `a token of role ${principal.role} reads no pages`;
      return this.denied(c, next, message);
    }
    this.start(c, principal.name, hashToken(token), now);
    return this.pages.redirect(c, next);
  }

  /** Shows a button: what only opens the link, as a preview does, does not use it. */
  once(c: Context<Env>): Response {
    return this.pages.send(c, formatOnce(c.req.query("code") ?? ""));
  }

  async useLink(c: Context<Env>): Promise<Response> {
    const form = await readForm(c);
    const owner = this.links.take(form.get("code") ?? "");
    const now = this.ports.clock.wallMs();
    const proofs = owner === null ? [] : this.ports.authority.proofs(owner.name, now);
    const valid = proofs.find(({ proof }) => proof === owner?.proof);
    if (owner === null || valid === undefined) {
      const why = "the link was used, is older than 10 minutes, or its control plane has ended";
      return this.failed(c, "/", { kind: "rejected", why: "unknown", name: null }, why);
    }
    c.set("principal", valid.principal);
    this.start(c, owner.name, owner.proof, now);
    return this.pages.redirect(c, "/");
  }

  /** Begins a session of `name`, whose token has this digest. */
  start(c: Context<Env>, name: string, proof: string, now: number): void {
    const value = this.pages.sessions.open(name, proof, now);
    const flags = { httpOnly: true, sameSite: "Strict", path: "/" } as const;
    const maxAge = SESSION_MS / 1_000;
    setCookie(c, SESSION_COOKIE, value, { ...flags, maxAge, secure: isSecure(c) });
  }

  private failed(
    c: Context<Env>,
    next: string,
    judged: Extract<Judgement, { kind: "rejected" }>,
    why = messageOf(judged.why),
  ): Response {
    const { who, target } = suspectOf(judged.why, judged.name);
    if (who !== null) c.set("who", who);
    if (target !== null) c.set("target", target);
    const wait = this.ports.admission?.logins.failed(remoteOf(c)) ?? null;
    c.set("code", wait === null ? "unauthenticated" : "rate_limited");
    if (wait !== null) c.header("Retry-After", String(wait));
    const message = wait === null ? why : `${TOO_MANY}; wait ${wait} s`;
    return this.pages.send(c, formatLogin(next, `Not logged in: ${message}.`), {
      status: wait === null ? 401 : 429,
    });
  }

  private denied(c: Context<Env>, next: string, message: string): Response {
    c.set("code", "permission_denied");
    c.set("detail", message);
    return this.pages.send(c, formatLogin(next, `Not logged in: ${message}.`), { status: 403 });
  }

  async logout(c: Context<Env>): Promise<Response> {
    const form = await readForm(c);
    const reader = this.pages.reader(c);
    if (reader === null) throw new Refusal("unauthenticated", "you are not logged in");
    this.pages.checkForm(form, reader);
    deleteCookie(c, SESSION_COOKIE, { path: "/" });
    return this.pages.redirect(c, "/login");
  }
}

const ABSENT = { kind: "rejected", why: "absent", name: null } as const;

/** A path of the console; anything else, such as another site, is the start page. */
export function nextOf(given: string | undefined): string {
  if (given === undefined || !/^\/(?![/\\])/.test(given)) return "/";
  const url = URL.parse(given, "http://none.invalid");
  if (url === null || url.origin !== "http://none.invalid") return "/";
  const { pathname, search } = url;
  const leads = isPage(pathname) && !/^\/(?:login|logout|live)\b/.test(pathname);
  // Two slashes at the beginning would name a host.
  return leads && !pathname.startsWith("//") ? `${pathname}${search}` : "/";
}

type LoginPorts = RoutePorts & { pages: ConsolePages; links: LoginLinks };

function row(
  at: `${"GET" | "POST"} /${string}`,
  verb: string,
  answer: (login: Login, c: Context<Env>) => Response | Promise<Response>,
): Route<LoginPorts> {
  return {
    ...{ at, access: "page", act: [verb, "session"], says: "" },
    async run(c, ports) {
      const { pages, links } = ports;
      try {
        return await answer(new Login(pages, ports, links), c);
      } catch (error) {
        return pages.caught(c, error, null);
      }
    },
  };
}

export const loginRoutes: readonly Route<LoginPorts>[] = [
  row("GET /login", "get", (login, c) => login.form(c)),
  row("POST /login", "log_in", (login, c) => login.login(c)),
  row("GET /login/once", "get", (login, c) => login.once(c)),
  row("POST /login/once", "log_in", (login, c) => login.useLink(c)),
  row("POST /logout", "log_out", (login, c) => login.logout(c)),
];
