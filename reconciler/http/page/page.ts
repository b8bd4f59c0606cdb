/**
 * What a page of the console is before it is HTML: blocks, which the layout renders the same way on
 * every page and the live stream compares and sends again. Text is escaped by `html` of hono.
 */
import type { html } from "hono/html";

/** HTML whose values are escaped. */
export type Html = ReturnType<typeof html>;

/** Who reads. A page is the same for all readers of one role, so that streams share it. */
export type ReaderRole = "viewer" | "operator" | "admin";

/** How urgent something is; shown by shape and text as well as colour. */
export type Tone = "ok" | "busy" | "warn" | "bad" | "off";

export type Column = {
  /** The heading; on narrow screens, the label of each cell. */
  name: string;
  /** Numbers align right. */
  align?: "right";
};

export type Row = {
  /** Unique in the document and stable while the row means the same thing. */
  id: string;
  /** One for each column. */
  cells: readonly Html[];
  tone?: Tone;
};

/** A region with a heading. `id` is unique in the document, and the anchor of links. */
export type Block = { id: string; heading: string } & (
  | { kind: "text"; body: Html }
  | {
      kind: "table";
      /** Forms of filters and the like, above the table. */
      above: Html | null;
      columns: readonly Column[];
      rows: readonly Row[];
      /** Shown without rows: why there are none, in words. */
      empty: string;
      /** Links to other pages of the table. */
      below: Html | null;
    }
);

export type Page = {
  title: string;
  /** The entry of the navigation that is marked: `/fleet`. */
  nav: string;
  blocks: readonly Block[];
};
