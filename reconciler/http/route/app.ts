/**
 * The HTTP application, built of the table of routes. All errors have one JSON shape. No handler
 * waits for a call to the outside world.
 */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { LIMIT } from "../../../schema/limit.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import type { Principal } from "../../security/auth.ts";
import { callTraceOf, readTraceparent, spanOfCall } from "../../core/trace.ts";
import { openFollowed } from "./follower.ts";
import { auditCall, authenticate, isInternal, remoteOf } from "./gate.ts";
import { LoginLinks } from "./link.ts";
import { Live } from "./live.ts";
import { type AnyPage, ConsolePages } from "./page.ts";
import { asPage } from "./page-frame.ts";
import { Pages } from "./pages.ts";
import { Refusal, refusalFor, refuse } from "./request.ts";
import {
  type App,
  type Env,
  type Route,
  SECTIONS,
  type Section,
  sectionOf,
  V1_ALIAS,
} from "./route.ts";
import { type AppPorts, PAGES, partsOf, withPages, type GivenPorts } from "./table.ts";

/** `pages` take the place of the console's own at their paths; `live` ends with the role. */
export type AppParts = { pages?: readonly AnyPage[]; live?: Live };

type Step = MiddlewareHandler<Env>;

export function openApp(ports: GivenPorts, { pages: more = [], live }: AppParts = {}): App {
  const app: App = new Hono<Env>();
  const { clock } = ports;
  // Inherits, so that a port that is exchanged later is seen here.
  const inherited: GivenPorts = Object.create(ports);
  const given = Object.assign(inherited, openFollowed(), { bootAt: clock.wallMs() });
  const own = PAGES.map((one) => more.find(({ path }) => path === one.path) ?? one);
  const rows = [...own, ...more.filter((one) => !own.includes(one))];
  const pages = new ConsolePages(given, {
    rows,
    fetch: app.fetch,
    live: live ?? new Live(ports),
  });
  const kept = { links: new LoginLinks(clock), scrapes: new Pages(clock), pages };
  const all: AppPorts = Object.assign(given, kept);
  app.use((c, next) => traceCall(c, next, ports));
  for (const route of withPages(rows)) addRoute(app, route, all);
  for (const section of SECTIONS) addSection(app, section, all);
  app.notFound(refuseRoute);
  app.onError((error, c) => {
    const refusal = refusalFor(error);
    if (refusal !== null) return refuse(c, refusal.code, refusal.message, refusal.details);
    ports.log("error", "request failed", {
      path: c.req.path,
      request_id: c.get("requestId"),
      error: String(error.stack ?? error),
    });
    return refuse(c, "internal", "internal error; see the log of the control plane");
  });
  return app;
}

function addRoute(app: App, route: Route<AppPorts>, ports: AppPorts): void {
  const { method, path } = partsOf(route);
  const paths = path.startsWith("/v1/") ? [path, path.replace("/v1", V1_ALIAS)] : [path];
  const begin: Step = (c, next) => {
    c.set("route", route);
    return next();
  };
  const small = limitBody(route.bytesMax);
  const steps = [begin, ...stepsOf(route, path, ports, method === "GET" ? [] : [small])];
  app.on(method, paths, ...steps, (c) => route.run(c, ports));
}

/** What a call passes before its handler, in this order. */
function stepsOf(
  { access, also }: Route<AppPorts>,
  path: string,
  ports: AppPorts,
  small: readonly Step[],
): Step[] {
  const audited: Step = (c, next) => auditCall(c, next, ports);
  switch (access) {
    case "public":
    case "metrics":
      return [];
    case "page":
      return [audited];
    case "join":
    case "signature":
      return [audited, ...small];
    case "token":
    case "agent":
      return [...known(sectionOf(path), ports), ...small];
    case "viewer":
    case "operator":
    case "admin": {
      const check: Step = async (c, next) => {
        const { name, role } = c.get("principal");
        if (role !== also && !roleIncludes(role, access)) {
          throw new Refusal("permission_denied", `${name} has role ${role}; this needs ${access}`);
        }
        await next();
      };
      return [...known(sectionOf(path), ports), ...small, check];
    }
  }
}

/** Lets callers with a valid token through, and into the console's section only those inside. */
function known(section: Section | null, ports: AppPorts): Step[] {
  const inside: Step = async (c, next) => {
    const remote = remoteOf(c);
    if (!isInternal(remote, ports)) {
      const where = remote === "" ? "an unknown address" : remote;
      const message = `${where} is not in an internal network; call from a private address`;
      throw new Refusal("permission_denied", message);
    }
    await next();
  };
  return [
    (c, next) => auditCall(c, next, ports),
    (c, next) => authenticate(c, next, ports),
    ...(section?.kind === "console" ? [inside] : []),
  ];
}

/** A path below a section that is no route tells that to those alone whom the section admits. */
function addSection(app: App, section: Section, ports: AppPorts): void {
  const { prefix, kind, isExact } = section;
  const path = isExact === true ? prefix : `${prefix}/*`;
  if (kind === "page") {
    const audited: Step = (c, next) => auditCall(c, next, ports);
    app.all(path, audited, (c) => ports.pages.none(c));
  } else {
    app.on("ALL", [path], ...known(section, ports), limitBody(), (c) => refuseRoute(c));
  }
}

const limitBody = (maxSize: number = LIMIT.requestBytesMax): Step =>
  bodyLimit({ maxSize, onError: tooLarge });

function tooLarge(c: Context): Response {
  return refuse(c as Context<Env>, "too_large", "the request body is too large for this route");
}

/** Gives the call its trace: the caller's, or a new one. */
async function traceCall(
  c: Context<Env>,
  next: () => Promise<void>,
  ports: GivenPorts,
): Promise<void> {
  const caller = readTraceparent(c.req.header("traceparent") ?? null);
  const traceId = caller?.traceId ?? callTraceOf(ports.newId());
  c.set("requestId", traceId);
  c.header("X-Request-Id", traceId);
  const startAt = ports.clock.wallMs();
  await next();
  const { method, path } = c.req;
  const route: Route | undefined = c.get("route");
  // Reads and reports are many, and change nothing that a trace explains.
  const isRead = method === "GET" || method === "HEAD" || method === "OPTIONS";
  if (ports.traces === null || isRead || route?.access === "agent") return;
  const principal: Principal | undefined = c.get("principal");
  const who = principal?.name ?? "anonymous";
  const call = { traceId, parentId: caller?.spanId ?? null, name: `${method} ${path}`, who };
  const endAt = ports.clock.wallMs();
  ports.traces.take([spanOfCall({ ...call, startAt, endAt, status: c.res.status })]);
}

/** A page for a browser's address bar; programs ask for JSON, or for anything. */
function refuseRoute(c: Context<Env>): Response | Promise<Response> {
  const answer = refuse(c, "not_found", `no route ${c.req.method} ${c.req.path}`);
  const isRead = c.req.method === "GET" && c.req.header("Accept")?.includes("text/html") === true;
  return isRead ? asPage(answer) : answer;
}
