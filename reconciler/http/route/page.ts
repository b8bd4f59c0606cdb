/**
 * Pages of the console: who reads, whether that reader may, the document around the page, and the
 * forms of actions. An action's form calls the API inside this process, so that it is checked and
 * audited there as any other call.
 */
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import type { Judgement, Principal } from "../../security/auth.ts";
import { Sessions } from "../../security/session.ts";
import { ASSETS } from "../page/asset.ts";
import { formatConfirmation, formatRefusal } from "../page/form.ts";
import { type Entry, formatPage, type Notice } from "../page/layout.ts";
import type { Page, ReaderRole, Tone } from "../page/page.ts";
import { type App, type Env, matchPath, type Route } from "./route.ts";
import { hasRole, isInternal, judgeReader, remoteOf, shownBy } from "./gate.ts";
import type { Live } from "./live.ts";
import {
  assetsOf,
  HEADERS,
  isSecure,
  NOTICE_CHARS_MAX,
  NOTICE_COOKIE,
  readForm,
  refusalOf,
  SESSION_COOKIE,
} from "./page-frame.ts";
import { Refusal, refusalFor } from "./request.ts";
import { type ActionRoute, type Asked, askedOf, type Call, type PageRoute } from "./site.ts";
import type { ConsolePorts } from "./console-cluster.ts";
import type { QueuePorts } from "./queue.ts";
import type { NodePorts } from "./node.ts";
import type { SimulationPorts } from "./simulation.ts";

export type AnyPage = PageRoute<PagePorts> | ActionRoute<PagePorts>;

/** Who reads, and by what: a session has a cookie, a program shows its token with each call. */
export type Reader = {
  principal: Principal;
  role: ReaderRole;
  /** The cookie; `""` in a fleet without log-in, `null` for a program. */
  session: string | null;
};

export class ConsolePages {
  readonly sessions: Sessions;
  private readonly ports: PagePorts;
  private readonly fetch: App["fetch"];
  private readonly live: Live;
  private readonly rows: readonly AnyPage[];

  /** `fetch` calls the API of this process; `live` ends with the role of the process. */
  constructor(
    ports: PagePorts,
    from: { rows: readonly AnyPage[]; fetch: App["fetch"]; live: Live },
  ) {
    this.live = from.live;
    this.ports = ports;
    this.fetch = from.fetch;
    this.rows = from.rows;
    this.sessions = new Sessions(ports.authority);
  }

  judge(c: Context<Env>): Judgement {
    return judgeReader(shownBy(c), this.ports);
  }

  /** The reader, or `null` for a stranger. Throws for a program's role. */
  reader(c: Context<Env>): Reader | null {
    const judged = this.judge(c);
    if (judged.kind === "rejected") return null;
    const { principal } = judged;
    c.set("principal", principal);
    const { role, name } = principal;
    if (role === "node" || role === "slurm") {
      throw new Refusal("permission_denied", `${name} has role ${role}, which reads no pages`);
    }
    const program = c.req.header("Authorization") !== undefined;
    const session = program ? null : (getCookie(c, SESSION_COOKIE) ?? "");
    return { principal, role, session };
  }

  /** Sends the reader on to the first page of the navigation. */
  async home(c: Context<Env>): Promise<Response> {
    return this.answer(c, async (reader) => {
      const [first] = this.entries(c, reader.role);
      return first === undefined ? this.absent(c, reader) : this.redirect(c, first.path);
    });
  }

  /** A path of the console that is no page. */
  async none(c: Context<Env>): Promise<Response> {
    return this.answer(c, async (reader) => this.absent(c, reader));
  }

  private absent(c: Context<Env>, reader: Reader): Response {
    const { pathname } = new URL(c.req.url);
    return this.refuse(c, "not_found", `there is no page ${c.req.method} ${pathname}`, reader);
  }

  /** The pages that the reader may open, in the order of the rows. */
  private entries(c: Context<Env>, role: ReaderRole): Entry[] {
    return this.rows
      .flatMap((one) => ("build" in one && one.label !== undefined ? [one] : []))
      .filter((one) => roleIncludes(role, one.role) && (!one.internal || this.isInside(c)))
      .map(({ path, label = path }) => ({ path, label }));
  }

  isInside(c: Context<Env>): boolean {
    return isInternal(remoteOf(c), this.ports);
  }

  /** Throws if the reader may not open it. */
  private check(c: Context<Env>, { role: has, principal }: Reader, route: Guarded): void {
    if (!roleIncludes(has, route.role)) {
      const message = `${principal.name} has role ${has}; this page needs ${route.role}`;
      throw new Refusal("permission_denied", message);
    }
    if (route.internal === true && !this.isInside(c)) {
      const where = remoteOf(c) || "an unknown address";
      const message = `${where} is not in an internal network; open this page from inside`;
      throw new Refusal("permission_denied", message);
    }
  }

  /** The document; a stranger's has no navigation. */
  send(
    c: Context<Env>,
    page: Page,
    more: {
      status?: number;
      reader?: Reader | null;
      live?: string | null;
      notices?: Notice[];
    } = {},
  ): Response {
    const { reader = null, live = null, notices = [], status = 200 } = more;
    const session = reader?.session ?? null;
    const html = formatPage(page, {
      assets: assetsOf(),
      entries: reader === null ? [] : this.entries(c, reader.role),
      reader: reader === null ? null : { name: reader.principal.name, role: reader.role },
      csrf: session === null || session === "" ? null : this.sessions.csrf(session),
      notices: [...notices, ...this.notices(c)],
      live,
      now: this.ports.clock.wallMs(),
    });
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    c.header("Content-Type", "text/html; charset=utf-8");
    return c.body(html, status as 200);
  }

  private notices(c: Context<Env>): Notice[] {
    const notices: Notice[] = [];
    // Bindings are absent in requests without a socket.
    const env: Env["Bindings"] | undefined = c.env;
    if (env?.standby === true) {
      const text = "The leader does not answer. This standby shows its own copy, which may be old.";
      notices.push({ tone: "warn", text });
    }
    const kept = getCookie(c, NOTICE_COOKIE);
    if (kept === undefined) return notices;
    deleteCookie(c, NOTICE_COOKIE, { path: "/" });
    const [, tone = "ok", text = ""] = /^(ok|busy|warn|bad|off) ([^]*)$/.exec(kept) ?? [];
    if (text !== "") notices.push({ tone: tone as Tone, text });
    return notices;
  }

  /** An error as a page, with the same audit as an error of the API. */
  refuse(c: Context<Env>, code: ErrorCode, message: string, reader: Reader | null): Response {
    c.set("code", code);
    if (code !== "invalid_argument") c.set("detail", message);
    const status = ERROR_STATUS[code];
    if (status === 503 || status === 429) c.header("Retry-After", "1");
    const page = formatRefusal({ code, status, message, request: c.get("requestId") ?? "" });
    return this.send(c, page, { status, reader });
  }

  /** Sends the reader on, with a notice that the next page shows once. */
  redirect(c: Context<Env>, to: string, notice: Notice | null = null): Response {
    if (notice !== null) {
      const value = `${notice.tone} ${notice.text.slice(0, NOTICE_CHARS_MAX)}`;
      const flags = { httpOnly: true, sameSite: "Strict", path: "/", maxAge: 60 } as const;
      setCookie(c, NOTICE_COOKIE, value, { ...flags, secure: isSecure(c) });
    }
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    return c.redirect(to, 303);
  }

  toLogin(c: Context<Env>): Response {
    const { pathname, search } = new URL(c.req.url);
    const next = pathname === "/" ? "" : `?next=${encodeURIComponent(`${pathname}${search}`)}`;
    return this.redirect(c, `/login${next}`);
  }

  async answer(c: Context<Env>, work: (reader: Reader) => Promise<Response>): Promise<Response> {
    let reader: Reader | null = null;
    try {
      reader = this.reader(c);
      if (reader !== null) return await work(reader);
      if (/^(?:GET|HEAD)$/.test(c.req.method)) return this.toLogin(c);
      return this.refuse(c, "unauthenticated", "nothing was done: no session; log in first", null);
    } catch (error) {
      return this.caught(c, error, reader);
    }
  }

  caught(c: Context<Env>, error: unknown, reader: Reader | null): Response {
    const refusal = refusalFor(error);
    if (refusal !== null) return this.refuse(c, refusal.code, refusal.message, reader);
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.ports.log("error", "page failed", { path: c.req.path, error: detail });
    const message = "the page could not be made; see the log of the control plane";
    return this.refuse(c, "internal", message, reader);
  }

  async show(c: Context<Env>, route: AnyPageRoute): Promise<Response> {
    return this.answer(c, async (reader) => {
      this.check(c, reader, route);
      const page = await route.build(this.asked(c, reader, route), this.ports);
      const { pathname, search } = new URL(c.req.url);
      const own = `/live?path=${encodeURIComponent(`${pathname}${search}`)}`;
      return this.send(c, page, { reader, live: route.live === false ? null : own });
    });
  }

  /** The stream of a page; its reader has the page already. */
  async stream(c: Context<Env>): Promise<Response> {
    return this.answer(c, async (reader) => {
      const url = URL.parse(c.req.query("path") ?? "", "http://none.invalid");
      const found = url === null ? null : this.pageAt(url.pathname);
      if (url === null || found === null || found.route.live === false) {
        throw new Refusal("not_found", "there is no such page to watch");
      }
      const { route, params } = found;
      this.check(c, reader, route);
      const asked = askedOf(url, params, reader.role);
      // Nothing would read, nor end, the stream.
      if (c.req.method === "HEAD") return c.body(null);
      const shown = shownBy(c);
      const remote = remoteOf(c);
      const have = c.req.header("Last-Event-ID") ?? c.req.query("have") ?? "";
      const body = await this.live.open({
        key: `${reader.role} ${url.pathname}${url.search}`,
        have,
        at: Number(c.req.query("at") || Infinity),
        build: () => route.build(asked, this.ports),
        owner: reader.principal.name,
        shown: JSON.stringify([shown, remote]),
        isAllowed: () =>
          hasRole(shown, reader.role, this.ports) &&
          (route.internal !== true || isInternal(remote, this.ports)),
      });
      if (body === null) throw new Refusal("unavailable", "too many pages are being watched");
      c.header("Content-Type", "text/event-stream");
      c.header("Cache-Control", "no-store");
      c.header("X-Accel-Buffering", "no");
      return c.body(body);
    });
  }

  private pageAt(path: string) {
    for (const route of this.rows) {
      const params = "build" in route ? matchPath(route.path, path) : null;
      if ("build" in route && params !== null) return { route, params };
    }
    return null;
  }

  private asked(c: Context<Env>, { role }: Reader, { path }: { path: string }): Asked {
    const url = new URL(c.req.url);
    const params = matchPath(path, url.pathname);
    if (params === null) throw new Refusal("not_found", `no page ${url.pathname}`);
    return askedOf(url, params, role);
  }

  async ask(c: Context<Env>, route: AnyAction): Promise<Response> {
    return this.answer(c, async (reader) => {
      this.check(c, reader, route);
      return this.confirm(c, route, reader, []);
    });
  }

  private async confirm(
    c: Context<Env>,
    route: AnyAction,
    reader: Reader,
    notices: Notice[],
    status = 200,
  ): Promise<Response> {
    const asked = await route.confirm(this.asked(c, reader, route), this.ports);
    const { pathname, search } = new URL(c.req.url);
    const page = formatConfirmation(asked, {
      action: `${pathname}${search}`,
      csrf: this.sessions.csrf(reader.session ?? ""),
      key: this.ports.newId(),
    });
    return this.send(c, page, { reader, notices, status });
  }

  async act(c: Context<Env>, route: AnyAction): Promise<Response> {
    return this.answer(c, async (reader) => {
      const form = await readForm(c);
      this.checkForm(form, reader);
      this.check(c, reader, route);
      const asked = this.asked(c, reader, route);
      try {
        const call = this.call(c, reader, form.get("key") ?? null);
        const done = await route.run(asked, form, call, this.ports);
        return this.redirect(c, done.to, { tone: done.tone ?? "ok", text: done.notice });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        c.set("code", error.code);
        const notice: Notice = { tone: "bad", text: `Nothing was done: ${error.message}` };
        return this.confirm(c, route, reader, [notice], ERROR_STATUS[error.code]);
      }
    });
  }

  /** Throws unless a page of this session has made the form. */
  checkForm(form: ReadonlyMap<string, string>, { session }: Reader): void {
    // A browser never sends a program's header by itself.
    if (session === null || form.get("csrf") === this.sessions.csrf(session)) return;
    const message = "this form belongs to another session; open the page again and repeat";
    throw new Refusal("permission_denied", message);
  }

  private call(c: Context<Env>, { principal }: Reader, key: string | null): Call {
    return async (method, path, body) => {
      const headers = {
        "Content-Type": "application/json",
        ...(key === null || key === "" ? {} : { "Idempotency-Key": key }),
      };
      const text = body === undefined ? {} : { body: JSON.stringify(body) };
      const request = new Request(`http://none.invalid${path}`, { method, headers, ...text });
      c.set("audited", true);
      const answer = await this.fetch(request, { remote: remoteOf(c), principal });
      const said: unknown = answer.status === 204 ? null : await answer.json();
      if (answer.ok) return said;
      throw refusalOf(said, answer.status);
    };
  }
}

type Guarded = { role: ReaderRole; internal?: boolean };

/** What pages are given. */
export type PagePorts = NodePorts &
  SimulationPorts &
  ConsolePorts &
  QueuePorts & { bootAt: number };
type AnyPageRoute = PageRoute<PagePorts>;
type AnyAction = ActionRoute<PagePorts>;
type PagesPort = { pages: ConsolePages };

/** The routes of a page, or of an action: the page that asks, and what its form does. */
function routesOf(row: AnyPage): Route<PagesPort>[] {
  const { path, act, isRecorded } = row;
  const common = { access: "page", says: "" } as const;
  const read = {
    ...common,
    at: `GET ${path}`,
    ...(act === undefined ? {} : { act }),
    ...(isRecorded === undefined ? {} : { isRecorded }),
  } as const;
  if ("build" in row) return [{ ...read, run: (c, { pages }) => pages.show(c, row) }];
  return [
    { ...read, run: (c, { pages }) => pages.ask(c, row) },
    // What the form did has a row of its own: the call's.
    {
      ...common,
      at: `POST ${path}`,
      act: act ?? ["create", null],
      run: (c, { pages }) => pages.act(c, row),
    },
  ];
}

export const assetRoutes: readonly Route<PagesPort>[] = [
  {
    at: "GET /asset/:name",
    access: "public",
    isText: true,
    says: "style, script and icon of the [console](console.md)",
    run(c, { pages }) {
      const asset = Object.values(ASSETS).find(({ path }) => path === c.req.path);
      if (asset === undefined) return pages.refuse(c, "not_found", `no file ${c.req.path}`, null);
      c.header("Cache-Control", "public, max-age=31536000, immutable");
      c.header("X-Content-Type-Options", "nosniff");
      return c.body(asset.text, 200, { "Content-Type": asset.type });
    },
  },
];

export const pageRoutes = (rows: readonly AnyPage[]): readonly Route<PagesPort>[] => [
  { at: "GET /", access: "page", says: "", run: (c, { pages }) => pages.home(c) },
  { at: "GET /live", access: "page", says: "", run: (c, { pages }) => pages.stream(c) },
  ...rows.flatMap(routesOf),
];
