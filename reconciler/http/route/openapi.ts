/** `/openapi.json`: this API in OpenAPI 3.1; `/docs`: the same to read. For viewers and above. */
import document from "../openapi.json" with { type: "json" };
import { type ApiDocument, referencePage } from "../page/reference.ts";
import type { Route } from "./route.ts";
import type { PageRoute } from "./site.ts";

const text = JSON.stringify(document);

export const openApiRoutes: readonly Route<unknown>[] = [
  {
    at: "GET /openapi.json",
    access: "viewer",
    says: "this API in OpenAPI 3.1",
    run: (c) => c.body(text, 200, { "Content-Type": "application/json" }),
  },
];

export const referencePages: readonly PageRoute<unknown>[] = [
  {
    path: "/docs",
    label: "API",
    role: "viewer",
    live: false,
    // The generated document has a type for each path, and the page has one for all.
    build: () => referencePage(document as { paths: unknown } as ApiDocument),
  },
];
