/**
 * `/docs`: the routes of `/openapi.json`, grouped by what they are about, with the names and types
 * that each reads. Pure.
 */
import { html } from "hono/html";
import type { Block, Html, Page, Row } from "./page.ts";

type Schema = { readonly [key: string]: unknown };
type Operation = {
  operationId: string;
  summary: string;
  tags: string[];
  "x-role"?: string;
  parameters?: readonly { name: string; in: string; schema: unknown }[];
  requestBody?: { content: Readonly<Record<string, { schema: Schema }>> };
};
export type ApiDocument = {
  paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

const COLUMNS = ["Method", "Path", "Role", "Meaning", "Reads"].map((name) => ({ name }));

export function referencePage({ paths }: ApiDocument): Page {
  const tags = new Map<string, Row[]>();
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const [tag = "fleet"] = operation.tags;
      const rows = tags.get(tag) ?? [];
      rows.push(rowOf(method, path, operation));
      tags.set(tag, rows);
    }
  }
  const blocks = [...tags].map(([tag, rows]): Block => {
    const table = { kind: "table", columns: COLUMNS, rows, above: null, below: null } as const;
    return { id: `tag-${tag}`, heading: tag, ...table, empty: "no route" };
  });
  return { title: "HTTP API", nav: "/docs", blocks: [aboutIt(tags), ...blocks] };
}

function aboutIt(tags: ReadonlyMap<string, unknown>): Block {
  const links = [...tags.keys()].map((tag) => html`<a href="#tag-${tag}">${tag}</a> `);
  const body = html`<p>Send a token as <code>Authorization: Bearer TOKEN</code>. Paths under
    <code>/v1</code> also work under <code>/api/v1</code>. Generate a client from
    <a href="/openapi.json">openapi.json</a>, OpenAPI 3.1.</p><p>${links}</p>`;
  return { id: "about", heading: "How to call it", kind: "text", body };
}

function rowOf(method: string, path: string, operation: Operation): Row {
  return {
    id: operation.operationId,
    cells: [
      html`${method.toUpperCase()}`,
      html`<code>${path}</code>`,
      html`${operation["x-role"] ?? ""}`,
      html`${operation.summary.replaceAll("`", "")}`,
      readsOf(operation),
    ],
  };
}

/** `query pool: string` and `body reason: string`. */
function readsOf({ parameters = [], requestBody }: Operation): Html {
  const query = parameters
    .filter((one) => one.in === "query")
    .map(({ name, schema }) => html`<div>query <code>${name}</code>: ${typeOf(schema)}</div>`);
  const { properties = {} } = requestBody?.content["application/json"]?.schema ?? {};
  const body = Object.entries(properties ?? {}).map(
    ([name, schema]) => html`<div>body <code>${name}</code>: ${typeOf(schema)}</div>`,
  );
  return html`${query}${body}`;
}

/** The type of a field in a few words; the document has it in full. */
function typeOf(schema: unknown): string {
  if (typeof schema !== "object" || schema === null) return "any";
  const { type, enum: values, anyOf } = schema as Schema;
  if (Array.isArray(values)) return values.map(String).join(" | ");
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeOf))].join(" | ");
  return typeof type === "string" ? type : "any";
}
