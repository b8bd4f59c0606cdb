/**
 * `reconciler/http/openapi.json`: every route with the schemas that check its body and query
 * (its row), the types that it answers (`openapi-answer.ts`), and who may call it. OpenAPI
 * 3.1, whose schemas are JSON Schema 2020-12.
 */
import { join } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import { generateSource } from "oazapfts";
import * as TJS from "typescript-json-schema";
import type { GenericSchema } from "valibot";
import { ROOT } from "../../build/product.ts";
import { ERROR_STATUS } from "../../schema/api.ts";
import { VERSION } from "../../schema/version.ts";
import { type Route, sectionOf } from "../../reconciler/http/route/route.ts";
import { partsOf, ROUTES } from "../../reconciler/http/route/table.ts";
import { sayAccess } from "./api.ts";

export type Schema = { [key: string]: unknown };
type Parameter = { name: string; in: string; required: boolean; schema: unknown };

/** The document as it is served, formatted for review. */
export function formatOpenApi(): string {
  const answers = readAnswers();
  const odd = [...answers.of.keys()].filter((name) => ROUTES.every(({ at }) => at !== name));
  if (odd.length > 0) throw new Error(`openapi-answer.ts has no routes: ${odd.join(", ")}`);
  const paths: Record<string, Record<string, Schema>> = {};
  for (const route of ROUTES) {
    const { method, path } = partsOf(route);
    const at = path.replaceAll(/:(\w+)/g, "{$1}");
    (paths[at] ??= {})[method.toLowerCase()] = operationOf(route, answers);
  }
  const schemas = { Error: ERROR, ...answers.definitions };
  const document = {
    openapi: "3.1.0",
    info: {
      title: "Navarch",
      version: VERSION,
      description:
        "Keeps GPU fleets healthy. Roles include each other: viewer, operator, admin. " +
        "Paths under /v1 also work under /api/v1.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
      schemas: namedIn(paths, schemas),
    },
  };
  return `${JSON.stringify(document, null, 1)}\n`;
}

/** The components that the paths name, and those that these name. */
function namedIn(paths: unknown, schemas: Readonly<Record<string, Schema>>) {
  const named = new Set<string>();
  const look = (from: unknown): void => {
    for (const [, name = ""] of JSON.stringify(from).matchAll(/#\/components\/schemas\/(\w+)/g)) {
      if (named.has(name)) continue;
      named.add(name);
      look(schemas[name]);
    }
  };
  look(paths);
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => named.has(name)));
}

/**
 * The typed client that tests of the commands use, made of the document on disk. Its code does not
 * pass `exactOptionalPropertyTypes`; its types are what counts here.
 */
export async function formatClient(): Promise<string> {
  const source = await generateSource(join(ROOT, "reconciler/http/openapi.json"));
  return `// @ts-nocheck\n${source}`;
}

const ERROR: Schema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "details", "request_id"],
      properties: {
        code: { enum: Object.keys(ERROR_STATUS) },
        message: { type: "string" },
        details: { type: "object" },
        request_id: { type: "string" },
      },
    },
  },
};
/** Of the APIs under `/api` that a contract names. */
const FLAT: Schema = {
  type: "object",
  required: ["error", "code"],
  properties: { error: { type: "string" }, code: { enum: Object.keys(ERROR_STATUS) } },
};

function operationOf(route: Route, answers: Answered): Schema {
  const { at, says, body = null, query = null, status = [200] } = route;
  const { method, path } = partsOf(route);
  const access = sayAccess(route.access);
  const inPath: Parameter[] = [...path.matchAll(/:(\w+)/g)].map(([, key = ""]) => {
    return { name: key, in: "path", required: true, schema: { type: "string" } };
  });
  const parameters = [...inPath, ...queryOf(query)];
  const media = route.isText === true ? "text/plain" : "application/json";
  const schema = route.isText === true ? { type: "string" } : (answers.of.get(at) ?? {});
  const good = status.map((one) => {
    return [String(one), { description: says, content: { [media]: { schema } } }];
  });
  const flat = sectionOf(path)?.kind === "console";
  const refused = flat ? FLAT : { $ref: "#/components/schemas/Error" };
  const bad = { description: "refused", content: { "application/json": { schema: refused } } };
  return {
    operationId: operationIdOf(method, path),
    summary: says,
    tags: [path.split("/").find((part) => !/^(?:|v1|api|admin)$/.test(part)) ?? "fleet"],
    "x-role": access.replaceAll("`", ""),
    ...(access === "none" ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === null ? {} : { requestBody: bodyOf(body) }),
    responses: Object.fromEntries([...good, ["default", bad]]),
  };
}

/** `getNodesById`: stable, as generated clients name their functions after it. */
export function operationIdOf(method: string, path: string): string {
  const words = path
    .replace(/^\/(?:v1|api)\//, "/")
    .split("/")
    .filter((part) => part !== "")
    .map((part) => (part.startsWith(":") ? `by-${part.slice(1)}` : part))
    .join("-")
    .split(/[^a-z0-9]+/i)
    .filter((word) => word !== "");
  const title = words.map((word) => `${word[0]?.toUpperCase() ?? ""}${word.slice(1)}`);
  return `${method.toLowerCase()}${title.join("")}`;
}

function jsonOf(schema: GenericSchema): Schema {
  const made = toJsonSchema(schema, { typeMode: "input", errorMode: "ignore" });
  const { $schema: _, $defs: lazy = {}, ...rest } = made;
  return inline(rest, lazy) as Schema;
}

/** Lazy schemas choose between others by the value, and none refers to itself. */
function inline(schema: unknown, lazy: Readonly<Record<string, unknown>>): unknown {
  if (Array.isArray(schema)) return schema.map((one) => inline(one, lazy));
  if (typeof schema !== "object" || schema === null) return schema;
  if ("$ref" in schema) return inline(lazy[String(schema.$ref).replace("#/$defs/", "")], lazy);
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, inline(value, lazy)]),
  );
}

function bodyOf(body: GenericSchema): Schema {
  const schema = jsonOf(body);
  const { required = [] } = schema;
  const isNeeded = Array.isArray(required) && required.length > 0;
  return { required: isNeeded, content: { "application/json": { schema } } };
}

function queryOf(query: GenericSchema | null): Parameter[] {
  if (query === null) return [];
  const { properties = {}, required = [] } = jsonOf(query);
  const needed = Array.isArray(required) ? required : [];
  return Object.entries(properties ?? {}).map(([name, schema]) => {
    return { name, in: "query", required: needed.includes(name), schema };
  });
}

type Answered = { of: ReadonlyMap<string, Schema>; definitions: Record<string, Schema> };

/** The schemas of the answers' types; those of named types once, as components. */
function readAnswers(): Answered {
  const file = join(ROOT, "test/docs/openapi-answer.ts");
  const options = {
    ...{ strict: true, exactOptionalPropertyTypes: true, allowImportingTsExtensions: true },
    ...{ noEmit: true, skipLibCheck: true, resolveJsonModule: true, types: ["bun"] },
    ...{ module: "nodenext", moduleResolution: "nodenext", target: "esnext" },
  };
  const program = TJS.getProgramFromFiles([file], options, ROOT);
  const shape = { required: true, noExtraProps: true, strictNullChecks: true, ignoreErrors: true };
  const generator = TJS.buildGenerator(program, { ...shape, ref: true, uniqueNames: false });
  if (generator === null) throw new Error(`${file}: no schema could be made of it`);
  const { properties = {}, definitions = {} } = generator.getSchemaForSymbol("Answers");
  const from: Names = { definitions, named: new Map() };
  const names = generator.getUserSymbols().filter((name) => /^[A-Z]\w*View$/.test(name));
  const schemas = names.toSorted().map((name) => {
    const made = generator.getSchemaForSymbol(name);
    const own: Names = { definitions: made.definitions ?? {}, named: new Map() };
    const { definitions: _, $schema: __, ...rest } = made;
    const schema = replace(rest, own) as Schema;
    return [name, schema] as const;
  });
  for (const [name, schema] of schemas) from.named.set(markOf(schema), name);
  const parts = schemas.map(([name, schema]) => [name, within(schema, from)] as const);
  const of = Object.entries(properties).map(([name, one]) => [name, replace(one, from)] as const);
  return { of: new Map(of as [string, Schema][]), definitions: Object.fromEntries(parts) };
}

/** Equal shapes have equal marks, however they are described where they are used. */
function markOf(schema: Schema): string {
  const { description: _, ...rest } = schema;
  return JSON.stringify(rest);
}

/** A component itself is no reference to itself. */
function within(schema: Schema, from: Names): Schema {
  const parts = Object.entries(schema).map(([key, value]) => [key, replace(value, from)]);
  return Object.fromEntries(parts) as Schema;
}

type Names = {
  definitions: Readonly<Record<string, unknown>>;
  /** Names of components, by their marks. */
  named: Map<string, string>;
};

/** A branded string is a string, a named type is a reference, any other type is inline. */
function replace(schema: unknown, from: Names): unknown {
  if (Array.isArray(schema)) return schema.map((one) => replace(one, from));
  if (typeof schema !== "object" || schema === null) return schema;
  if ("$ref" in schema) {
    const name = decodeURIComponent(String(schema.$ref).replace("#/definitions/", ""));
    return replace(from.definitions[name], from);
  }
  if ("allOf" in schema && Array.isArray(schema.allOf)) {
    const text = schema.allOf.find((one: Schema) => one["type"] === "string");
    if (text !== undefined) return { type: "string" };
  }
  // An id that has a description: the generator keeps its brand and forgets that it is text.
  const own = "properties" in schema ? Object.keys(schema.properties ?? {}) : [];
  if (own.some((key) => key.startsWith("__@BrandSymbol"))) {
    const told = "description" in schema ? { description: schema.description } : {};
    return { ...told, type: "string" };
  }
  // A record by any name comes as an object without properties.
  if ("additionalProperties" in schema && !("properties" in schema)) {
    return { ...schema, additionalProperties: true };
  }
  const plain = within(schema as Schema, { ...from, named: new Map() });
  const name = from.named.get(markOf(plain));
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  return within(schema as Schema, from);
}
