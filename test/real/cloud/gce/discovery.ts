/**
 * Google's discovery documents as a judge: whether a request is one that the API has, and whether a
 * reply is what it may answer. Unknown fields, enums, patterns and number formats all count.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Exchange } from "../../../fixture/cloud/gce-server.ts";
import { fetchWheel, python, type Wheel } from "../../../fixture/wheel.ts";

const FOLDER = "googleapiclient/discovery_cache/documents";
const FILES = ["compute.v1.json", "cloudresourcemanager.v3.json", "container.v1.json"];
const WHEEL: Wheel = {
  name: "google-api-python-client",
  version: "2.202.0",
  digest: "aaa90064c9bb642ff1d065b22ca8958a2cb6e345909cefe70d0e5452fc50e08b",
  files: FILES.map((file) => `${FOLDER}/${file}`),
};

type Schema = {
  type?: string;
  $ref?: string;
  format?: string;
  enum?: string[];
  pattern?: string;
  description?: string;
  readOnly?: boolean;
  required?: boolean;
  location?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  annotations?: { required?: string[] };
};
type Method = {
  id: string;
  httpMethod: string;
  path: string;
  flatPath?: string;
  parameters?: Record<string, Schema>;
  request?: Schema;
  response?: Schema;
};
type Resource = { methods?: Record<string, Method>; resources?: Record<string, Resource> };
export type Document = Resource & {
  revision: string;
  servicePath: string;
  parameters: Record<string, Schema>;
  schemas: Record<string, Schema>;
};

/** The documents, or `null` with a word on stderr; with `CI=true` absence is a failure. */
export function documentsOrSkip(): Document[] | null {
  try {
    const folder = fetchWheel(python(), WHEEL);
    return FILES.map((file) => JSON.parse(readFileSync(join(folder, FOLDER, file), "utf8")));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (process.env["CI"] === "true") throw new Error(`${WHEEL.name}: ${reason}`);
    console.warn(`SKIPPED: comparison with Google's discovery document: ${reason}`);
    return null;
  }
}

type Verdict = { method: string | null; problems: string[] };

export class Judge {
  readonly #documents: readonly Document[];
  constructor(documents: readonly Document[]) {
    this.#documents = documents;
  }

  judge(exchange: Exchange): Verdict {
    for (const document of this.#documents) {
      const prefix = document.servicePath === "" ? "/" : `/${document.servicePath}`;
      if (!exchange.path.startsWith(prefix)) continue;
      const rest = exchange.path.slice(prefix.length);
      const found = methodsOf(document).find((method) => fits(method, exchange.method, rest));
      if (found !== undefined) {
        return { method: found.id, problems: new Trial(document, found).judge(exchange) };
      }
    }
    return { method: null, problems: [`no method for ${exchange.method} ${exchange.path}`] };
  }
}

function methodsOf({ methods = {}, resources = {} }: Resource): Method[] {
  return [...Object.values(methods), ...Object.values(resources).flatMap(methodsOf)];
}

const escape = (text: string): string => text.replace(/[.*+?^$()|[\]\\]/g, "\\$&");

/** Whether the path is the method's, with each part as its parameter's pattern wants it. */
function fits({ httpMethod, path, parameters = {} }: Method, verb: string, rest: string): boolean {
  if (httpMethod !== verb) return false;
  const source = escape(path).replace(/\{\\?\+?(\w+)\}/g, (_all, name: string) => {
    const pattern = parameters[name]?.pattern?.replace(/^\^|\$$/g, "");
    return pattern === undefined ? "[^/]+" : `(?:${pattern})`;
  });
  return new RegExp(`^${source}$`).test(rest);
}

const INTEGERS: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
};
const TEXTS: Readonly<Record<string, RegExp>> = {
  int64: /^-?\d{1,19}$/,
  uint64: /^\d{1,20}$/,
  byte: /^[A-Za-z0-9+/_-]*={0,2}$/,
};
const OUTPUT_ONLY = /^\s*(\[Output Only\]|Output only\.)/i;

/** Judges one exchange by one method. */
class Trial {
  readonly #document: Document;
  readonly #method: Method;
  readonly #problems: string[] = [];
  #isRequest = false;

  constructor(document: Document, method: Method) {
    this.#document = document;
    this.#method = method;
  }

  judge({ query, body, status, reply }: Exchange): string[] {
    const { parameters = {}, request, response } = this.#method;
    const known = { ...this.#document.parameters, ...parameters };
    for (const [key, value] of query) {
      const schema = known[key];
      if (schema === undefined || schema.location === "path") this.#say(`?${key}`, "unknown");
      else this.#text(schema, value, `?${key}`);
    }
    this.#isRequest = true;
    if (request === undefined && body !== null) this.#say("body", "the method takes none");
    if (request !== undefined) this.#value(request, body, "body");
    this.#isRequest = false;
    if (status !== 200) this.#problems.push(...judgeError(status, reply));
    else this.#value(response ?? {}, reply, "reply");
    return this.#problems;
  }

  #say(at: string, what: string): void {
    this.#problems.push(`${this.#method.id} ${at}: ${what}`);
  }

  #value(schema: Schema, value: unknown, at: string): void {
    if (schema.$ref !== undefined) {
      const named = this.#document.schemas[schema.$ref];
      return named === undefined ? this.#say(at, "no schema") : this.#value(named, value, at);
    }
    switch (schema.type) {
      case "object":
        return this.#object(schema, value, at);
      case "array":
        if (!Array.isArray(value)) return this.#say(at, "is no list");
        for (const [i, one] of value.entries()) this.#value(schema.items ?? {}, one, `${at}[${i}]`);
        return;
      case "string":
        return typeof value === "string" ? this.#text(schema, value, at) : this.#say(at, "no text");
      case "boolean":
        return typeof value === "boolean" ? undefined : this.#say(at, "is no boolean");
      case "integer":
      case "number":
        return this.#number(schema, value, at);
      default:
        return;
    }
  }

  #object(schema: Schema, value: unknown, at: string): void {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#say(at, "is no object");
    }
    const { properties = {}, additionalProperties } = schema;
    for (const [key, one] of Object.entries(value)) {
      const inner = properties[key] ?? additionalProperties;
      if (inner === undefined) this.#say(`${at}.${key}`, "unknown field");
      else this.#field(inner, one, `${at}.${key}`);
    }
    for (const [key, { annotations }] of Object.entries(properties)) {
      const isRequired = annotations?.required?.includes(this.#method.id) === true;
      if (this.#isRequest && isRequired && !(key in value)) this.#say(`${at}.${key}`, "missing");
    }
  }

  #field(schema: Schema, value: unknown, at: string): void {
    const isOutput = schema.readOnly === true || OUTPUT_ONLY.test(schema.description ?? "");
    if (this.#isRequest && isOutput) return this.#say(at, "the server alone writes it");
    this.#value(schema, value, at);
  }

  #text({ enum: allowed, pattern, format, type }: Schema, value: string, at: string): void {
    if (allowed !== undefined && !allowed.includes(value)) this.#say(at, `${value} is not allowed`);
    if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(value)) {
      this.#say(at, `${value} is not ${pattern}`);
    }
    const shape = TEXTS[format ?? ""];
    if (shape !== undefined && !shape.test(value)) this.#say(at, `${value} is no ${format}`);
    if (type === "integer") this.#number({ format: format ?? "" }, Number(value), at);
  }

  #number({ type, format }: Schema, value: unknown, at: string): void {
    if (typeof value !== "number" || !Number.isFinite(value)) return this.#say(at, "is no number");
    const range = INTEGERS[format ?? ""];
    if ((type === "integer" || range !== undefined) && !Number.isInteger(value)) {
      this.#say(at, "is no whole number");
    }
    if (range !== undefined && (value < range[0] || value > range[1])) {
      this.#say(at, `${value} is no ${format}`);
    }
  }
}

/** Errors are in no document; their form is in Google's guide (cloud.google.com/apis/design). */
function judgeError(status: number, reply: unknown): string[] {
  const error = (reply as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  // A gateway in between answers without a body of Google's.
  if (error === undefined) return [];
  const isWhole = error.code === status && typeof error.message === "string";
  return isWhole ? [] : [`an error ${status} without its code and message`];
}
