/** Style and script of the report's page. They run in a browser, so they are text here. */

export const PAGE_STYLE = `
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#e3e6eb;--ground:#fff;
--card:#f6f7f9}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#313844;
--ground:#14181f;--card:#1d232c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:0 auto;
max-width:1100px;padding:24px}
h1{font-size:26px;margin:0}h2{font-size:17px;margin:28px 0 8px}
.meta{color:var(--soft)}
.outcome{font-size:14px;padding:3px 10px;border-radius:12px;vertical-align:middle;color:#fff;
background:#667085}
.outcome.passed{background:#16794b}.outcome.failed{background:#b42318}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(125px,1fr));gap:10px;
margin-top:18px}
.card{background:var(--card);border-radius:8px;padding:10px 12px}
.card b{display:block;font-size:20px}
.card span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:5px 8px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600;white-space:nowrap;overflow-wrap:normal}a{color:inherit}
.failed td{color:#d92d20}.errors{color:#d92d20}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:24px}
.chart{width:100%;overflow:hidden}.u-legend{font-size:13px}
`;

export const CHART_CODE = `
(function(){
var points=JSON.parse(document.getElementById("timeline").textContent);
var dark=matchMedia("(prefers-color-scheme:dark)").matches;
var ink=dark?"#98a2b3":"#667085",line=dark?"#313844":"#e3e6eb";
var x=points.map(function(p){return p.elapsed_seconds});
function column(key){return points.map(function(p){return p[key]})}
function clock(s){var m=Math.floor(s/60),r=Math.round(s%60);return m+":"+(r<10?"0":"")+r}
var axis={stroke:ink,grid:{stroke:line,width:1},ticks:{stroke:line,width:1}};
function draw(id,series){
  var box=document.getElementById(id);
  if(!box)return;
  var data=[x].concat(series.map(function(s){return column(s.key)}));
  var plot=new uPlot({width:box.clientWidth,height:260,scales:{x:{time:false}},
    axes:[Object.assign({values:function(u,v){return v.map(clock)}},axis),
      Object.assign({size:60},axis)],
    series:[{label:"time",value:function(u,v){return v==null?"":clock(v)}}].concat(
      series.map(function(s){
      return {label:s.label,stroke:s.color,width:2,fill:s.fill}}))},data,box);
  addEventListener("resize",function(){plot.setSize({width:box.clientWidth,height:260})});
}
draw("nodes-chart",[
  {key:"total_nodes",label:"all",color:ink},
  {key:"healthy_nodes",label:"healthy",color:"#16a05c",fill:"rgba(22,160,92,.12)"},
  {key:"degraded_nodes",label:"degraded",color:"#dc9a12"},
  {key:"unhealthy_nodes",label:"unhealthy",color:"#d92d20"}]);
draw("failures-chart",[
  {key:"failures_total",label:"failures",color:"#d92d20"},
  {key:"recoveries_total",label:"recoveries",color:"#16a05c"},
  {key:"active_outages",label:"outages now",color:"#7a5af8"}]);
})();
`;
