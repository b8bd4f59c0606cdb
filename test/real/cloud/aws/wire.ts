/** EC2's replies as XML, and its errors by the port's classes. Pure. */
import type { Xml } from "../../../../reconciler/provider/aws/xml.ts";

export type Wire = { status: number; xml: Xml };

export const leaf = (name: string, text: string): Xml => ({ name, text, children: [] });
export const node = (name: string, children: Xml[]): Xml => ({ name, text: "", children });
export const list = node;

/** Puts a child in place of the one with its name. */
export function setChild(parent: Xml, child: Xml): void {
  parent.children = [...parent.children.filter(({ name }) => name !== child.name), child];
}

export function reply(action: string, children: Xml[]): Wire {
  return { status: 200, xml: node(`${action}Response`, [leaf("requestId", "r-1"), ...children]) };
}

export function errorOf(status: number, code: string, message = "words for people"): Wire {
  const error = node("Error", [leaf("Code", code), leaf("Message", message)]);
  return { status, xml: node("Response", [node("Errors", [error]), leaf("RequestID", "r-1")]) };
}

/** As EC2 says it: "no capacity" is a 500, a rate limit a 503. */
const CODES: Readonly<Record<string, readonly [number, string]>> = {
  bad_request: [400, "InvalidParameterValue"],
  capacity: [500, "InsufficientInstanceCapacity"],
  quota: [400, "VcpuLimitExceeded"],
  rate_limit: [503, "RequestLimitExceeded"],
  auth: [401, "AuthFailure"],
  billing: [401, "OptInRequired"],
};

export function refusalOf(cls: string, message?: string): Wire {
  const [status, code] = CODES[cls] ?? [500, "InternalError"];
  return errorOf(status, code, message);
}

export function formatXml({ name, text, children }: Xml): string {
  const inner = children.length > 0 ? children.map(formatXml).join("") : escape(text);
  return inner === "" ? `<${name}/>` : `<${name}>${inner}</${name}>`;
}

const ESCAPED: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escape = (text: string): string => text.replaceAll(/[&<>]/g, (one) => ESCAPED[one] ?? one);
