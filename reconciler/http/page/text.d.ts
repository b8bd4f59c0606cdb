/** Style and script of the console are embedded as text, so that the binary serves them alone. */
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "*/browser.js" {
  const text: string;
  export default text;
}
declare module "*/chart.js" {
  const text: string;
  export default text;
}
