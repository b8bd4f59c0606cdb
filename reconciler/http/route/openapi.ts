/** `/openapi.json`: this API in OpenAPI 3.1; `/docs`: the same to read. For viewers and above. */
import document from "../openapi.json" with { type: "json" };
import { type ApiDocument, referencePage } from "../page/reference.ts";
import type { App, RoutePorts } from "./env.ts";
import { auditCall, authenticate } from "./gate.ts";
import { needs } from "./request.ts";
import { addPage, type Site } from "./site.ts";

export function openApiRoutes(app: App, ports: RoutePorts): void {
  const text = JSON.stringify(document);
  app.use("/openapi.json", (c, next) => auditCall(c, next, ports));
  app.use("/openapi.json", (c, next) => authenticate(c, next, ports));
  app.get("/openapi.json", needs("viewer"), (c) => {
    return c.body(text, 200, { "Content-Type": "application/json" });
  });
}

export function referencePages(site: Site): void {
  const route = { path: "/docs", label: "API", role: "viewer", live: false } as const;
  // The generated document has a type for each path, and the page has one for all.
  const pages = document as { paths: unknown } as ApiDocument;
  addPage(site, { ...route, build: () => referencePage(pages) });
}
