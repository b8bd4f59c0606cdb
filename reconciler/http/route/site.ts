/**
 * Registers pages and actions of the console. A page is a function from what was asked to a `Page`;
 * an action is a page that asks for confirmation, and a call of the API that its form makes.
 */
import type { Html, Page, ReaderRole, Tone } from "../page/page.ts";
import { Refusal } from "./request.ts";
import type { RoutePorts } from "./env.ts";

/** What a page may depend on: no name, no cookie, so that readers of one role share it. */
export type Asked = {
  url: URL;
  role: ReaderRole;
  /** A part of the path, decoded. Throws `not_found` if it has none of that name. */
  param(name: string): string;
  /** A parameter of the query; empty counts as absent. */
  query(name: string): string | null;
};

type Common = {
  /** `/fleet/node/:id`. */
  path: string;
  /** The least role; others get 403. */
  role: ReaderRole;
  /** Only from the networks of `server.console.networks`. */
  internal?: boolean;
};

export type PageRoute = Common & {
  /** An entry of the navigation; entries are in the order of `NAVIGATION`. */
  label?: string;
  /** False for pages that do not change by themselves: no stream is opened. */
  live?: boolean;
  build(asked: Asked): Page | Promise<Page>;
  /** Each reading has a row of the audit, about the path's `:namespace` and `:name`. */
  recorded?: boolean;
};

/** A call of the API as the reader, with its checks, audit and idempotency. */
export type Call = (method: string, path: string, body?: unknown) => Promise<unknown>;

export type Confirmation = Omit<Page, "blocks"> & {
  /** The object, and what follows for pods, jobs and money. */
  body: Html;
  /** Fields of the form, such as the reason. */
  fields: Html;
  /** The word on the button: `Drain node-7`. */
  button: string;
  /** True for what cannot be undone. */
  danger?: boolean;
  /** Where "Back" leads. */
  back: string;
};

export type Done = {
  notice: string;
  tone?: Tone;
  /** Where the reader is sent. */
  to: string;
};

export type ActionRoute = Common & {
  confirm(asked: Asked): Confirmation | Promise<Confirmation>;
  /** `form` has each field once, without the token. A `Refusal` is shown on the same page. */
  run(asked: Asked, form: ReadonlyMap<string, string>, call: Call): Promise<Done>;
};

export type Match<R> = { route: R; params: ReadonlyMap<string, string> };

type Entry<R> = { route: R; pattern: RegExp; names: readonly string[] };

/** Registers pages of one part of the console. */
export type AddPages = (site: Site) => void;

/** The pages of this process. */
export class Site {
  readonly ports: RoutePorts;
  private readonly pages: Entry<PageRoute>[] = [];
  private readonly actions: Entry<ActionRoute>[] = [];

  constructor(ports: RoutePorts) {
    this.ports = ports;
  }

  add(route: PageRoute): void {
    put(this.pages, entryOf(route));
  }

  addAction(route: ActionRoute): void {
    put(this.actions, entryOf(route));
  }

  page(pathname: string): Match<PageRoute> | null {
    return find(this.pages, pathname);
  }

  action(pathname: string): Match<ActionRoute> | null {
    return find(this.actions, pathname);
  }

  routes(): readonly (PageRoute | ActionRoute)[] {
    return [...this.pages, ...this.actions].map(({ route }) => route);
  }

  labelled(): readonly PageRoute[] {
    return this.pages.map(({ route }) => route).filter(({ label }) => label !== undefined);
  }
}

export function addPage(site: Site, route: PageRoute): void {
  site.add(route);
}

export function addAction(site: Site, route: ActionRoute): void {
  site.addAction(route);
}

/** `url` is the page's own; of another URL only path and query are used. */
export function askedOf(url: URL, params: ReadonlyMap<string, string>, role: ReaderRole): Asked {
  return {
    url,
    role,
    param(name) {
      const value = params.get(name);
      if (value === undefined) throw new Refusal("not_found", `no page ${url.pathname}`);
      return value;
    },
    query: (name) => url.searchParams.get(name) || null,
  };
}

function entryOf<R extends Common>(route: R): Entry<R> {
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);
  const pattern = new RegExp(`^${route.path.replace(/:\w+/g, "([^/]+)")}$`);
  return { route, pattern, names };
}

/** The same path takes the place of the earlier one. */
function put<R extends Common>(entries: Entry<R>[], entry: Entry<R>): void {
  const at = entries.findIndex(({ route }) => route.path === entry.route.path);
  if (at < 0) entries.push(entry);
  else entries[at] = entry;
}

function find<R>(entries: readonly Entry<R>[], pathname: string): Match<R> | null {
  for (const { route, pattern, names } of entries) {
    const found = pattern.exec(pathname);
    if (found === null) continue;
    const params = new Map<string, string>();
    for (const [at, name] of names.entries()) {
      const value = decode(found[at + 1] ?? "");
      if (value === null) return null;
      params.set(name, value);
    }
    return { route, params };
  }
  return null;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
