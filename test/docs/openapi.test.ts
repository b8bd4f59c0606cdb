/**
 * `/openapi.json` is what OpenAPI 3.1 allows, by a validator that is not ours; and what the routes
 * of a fleet with a sick node answer is what it says.
 */
import { expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020";
import document from "../../reconciler/http/openapi.json" with { type: "json" };
import { openWorldApp } from "../world/app.ts";
import { poolYaml, World } from "../world/world.ts";

type Operation = {
  operationId: string;
  parameters?: { name: string; in: string }[];
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
};
const PATHS = document.paths as unknown as Record<string, Record<string, Operation>>;

const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addSchema({ $id: "doc", components: document.components });

/** What is wrong with an answer, by the document; empty = nothing. */
function judge(operation: Operation, status: number, body: unknown): string[] {
  const { responses } = operation;
  const schema = (responses[String(status)] ?? responses["default"])?.content?.["application/json"];
  if (schema === undefined) return [`no schema for ${status}`];
  const text = JSON.stringify(schema.schema).replaceAll("#/components", "doc#/components");
  const isRight = ajv.validate(JSON.parse(text) as object, body);
  return isRight ? [] : (ajv.errors ?? []).map((one) => `${one.instancePath} ${one.message}`);
}

test("openapi.json is valid, by the schema of OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as never);
  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
  const ids = Object.values(PATHS).flatMap((one) => Object.values(one).map((o) => o.operationId));
  expect(new Set(ids).size).toBe(ids.length);
});

test("a sick fleet's answers are what openapi.json says", async () => {
  const world = await World.open(poolYaml(2, ""));
  try {
    await world.until(() => world.serving().length === 2, 600);
    const [node = ""] = world.serving();
    const { call } = openWorldApp(world);
    await call("POST", `/v1/nodes/${node}/cordon`, { reason: "a look" });
    await call("POST", "/v1/tokens", { role: "viewer", label: "wall" });
    await call("POST", "/v1/join-tokens", { pool: "p" });
    const of: Record<string, string> = { id: node, pool: "p", namespace: "default", name: "fake" };
    const wrong: string[] = [];
    let answered = 0;
    for (const [path, { get }] of Object.entries(PATHS)) {
      if (get?.responses["200"]?.content?.["application/json"] === undefined) continue;
      const at = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => of[key] ?? "x");
      const { status, text, headers } = await call("GET", at);
      if (status === 200) answered += 1;
      const type = headers.get("content-type") ?? "none";
      if (!/^application\/json(?:;|$)/.test(type)) {
        wrong.push(`${path} ${status}: answers ${type}`);
        continue;
      }
      const found = judge(get, status, JSON.parse(text));
      wrong.push(...found.map((one) => `${path} ${status}: ${one}`));
    }
    expect(wrong).toEqual([]);
    expect(answered).toBeGreaterThan(25);
  } finally {
    await world.close();
  }
}, 60_000);

test("a broken answer would be seen", () => {
  const nodes = PATHS["/v1/nodes"]?.["get"];
  if (nodes === undefined) throw new Error("no /v1/nodes");
  expect(judge(nodes, 200, { nodes: [{ node_id: 7 }], next: null }).join()).toContain("node_id");
});
