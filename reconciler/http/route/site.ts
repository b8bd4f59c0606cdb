/**
 * Pages and actions of the console, as rows. A page is a function from what was asked to a `Page`;
 * an action is a page that asks for confirmation, and a call of the API that its form makes.
 */
import type { Html, Page, ReaderRole, Tone } from "../page/page.ts";
import { Refusal } from "./request.ts";

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
  path: `/${string}`;
  /** The least role; others get 403. */
  role: ReaderRole;
  /** Only from the networks of `server.console.networks`. */
  internal?: boolean;
  /** For the audit: see `Route`. */
  act?: readonly [verb: string, kind: string | null];
  isRecorded?: true;
};

export type PageRoute<P = never> = Common & {
  /** An entry of the navigation. */
  label?: string;
  /** False for pages that do not change by themselves: no stream is opened. */
  live?: boolean;
  build: (asked: Asked, ports: P) => Page | Promise<Page>;
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

export type ActionRoute<P = never> = Common & {
  confirm: (asked: Asked, ports: P) => Confirmation | Promise<Confirmation>;
  /** `form` has each field once, without the token. A `Refusal` is shown on the same page. */
  run: (asked: Asked, form: ReadonlyMap<string, string>, call: Call, ports: P) => Promise<Done>;
};

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
