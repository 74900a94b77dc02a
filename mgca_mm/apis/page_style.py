"""Style and scripts of the page. Colors are Okabe and Ito's; the rest are gradio's, light or dark."""

CSS = """
.gradio-container { --faint: color-mix(in srgb, var(--body-text-color) 72%, transparent); width: 100%;
  max-width: 1360px !important; margin: auto; }
#examples, #nearest { min-width: 0; }
#warning:not(:has(.warning)) { display: none; }
.gradio-container h1 { margin: 0; font-size: 1.6rem; }
.gradio-container h2 { margin: .8rem 0 .4rem; font-size: 1.05rem; }
#banner p { margin: .2rem 0; color: var(--faint); }
#banner strong, #banner b { color: var(--body-text-color); }
.cards { display: flex; align-items: stretch; gap: .6rem; overflow-x: auto; padding: 4px 4px .6rem; }
.card { flex: 0 0 116px; min-width: 0; display: flex; flex-direction: column; justify-content: flex-start;
  border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 4px;
  background: var(--block-background-fill); text-align: left; cursor: pointer; color: var(--body-text-color); }
.card img { display: block; width: 106px; height: 106px; object-fit: contain; background: #000; border-radius: 5px;
  margin: 0; }
.card span { display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden;
  font-size: .8rem; line-height: 1.15; margin-top: 4px; }
.card small { font-weight: 400; font-size: .75rem; color: var(--faint); }
.card:hover, .word:hover { outline: 2px solid #56b4e9; }
.card:focus-visible, .word:focus-visible { outline: 3px solid #0072b2; outline-offset: 1px; }
.dark .card:focus-visible, .dark .word:focus-visible { outline-color: #56b4e9; }
.radiograph { margin: 0; }
.radiograph .picture { position: relative; width: fit-content; margin: auto; background: #000; border-radius: 8px;
  overflow: hidden; cursor: crosshair; }
.radiograph img { display: block; max-width: 100%; max-height: 78vh; width: 640px; height: auto; margin: 0;
  object-fit: contain; }
.radiograph svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.radiograph svg rect, .radiograph svg circle { fill: none; stroke: #fff; stroke-width: 2; }
.radiograph svg .box rect { stroke-dasharray: 7 5; }
.radiograph svg .meant rect { stroke-width: 3.5; }
.radiograph svg rect.under, .radiograph svg circle.under { stroke: #000; stroke-width: 5; stroke-dasharray: none;
  opacity: .55; }
.radiograph svg circle { stroke: #56b4e9; stroke-width: 3; }
.radiograph svg text { font: 13px system-ui, sans-serif; fill: #fff; stroke: #000; stroke-width: 3;
  paint-order: stroke; }
.radiograph figcaption { margin-top: .4rem; }
.radiograph .key { color: var(--faint); } .radiograph .scale { white-space: nowrap; }
.radiograph .scale i { display: inline-block; width: 70px; height: .7em; border-radius: 2px; }
.report { white-space: pre-wrap; line-height: 1.9; font-size: 1.05rem; overflow-wrap: anywhere; max-height: 24rem;
  overflow-y: auto; padding: 2px; }
.word { cursor: pointer; border-radius: 3px; }
.mention { text-decoration: underline 2px #009e73; text-underline-offset: 4px; }
.denied { text-decoration: underline 2px dotted var(--faint); }
.unread { opacity: .6; }
.chosen { background: #e69f00; color: #000; }
.weighted .word { background: rgb(86 180 233 / calc(var(--weight) * 85%)); }
.findings { width: 100%; border: 0 !important; border-collapse: collapse; }
.findings th { text-align: left; font-weight: 600; white-space: nowrap; padding: 1px .5rem 1px 0; }
.findings td { padding: 1px .5rem 1px 0; border: 0; }
/* Hidden, it would keep the radiograph of the phone from staying in sight. */
.gradio-container { overflow: clip !important; }
.findings tr, .findings th { border: 0; background: none; }
.label { border: 1px solid #009e73; border-radius: 4px; padding: 0 .3em; font-size: .7rem; font-weight: 400; }
.strip { width: 200px; max-width: 34vw; height: 26px; display: block; }
.strip .data { fill: var(--faint); opacity: .45; }
.strip .with { fill: none; stroke: #0072b2; stroke-width: 1.8; }
.dark .strip .with { stroke: #56b4e9; }
.strip .zero { stroke: var(--body-text-color); stroke-width: 1; stroke-dasharray: 2 2; }
.strip .dot { fill: #d55e00; stroke: var(--block-background-fill); stroke-width: 1.5; }
.legend, .note { font-size: .85rem; color: var(--faint); }
.with-key { border-bottom: 3px solid #0072b2; } .dark .with-key { border-color: #56b4e9; }
.data-key { border-bottom: 3px solid var(--faint); }
.dot-key { border-bottom: 3px solid #d55e00; }
.warning { border: 2px solid #d55e00; border-radius: 8px; padding: .6rem .9rem; background: rgb(213 94 0 / 12%); }
.warning b { color: inherit; }
#nearest ol { padding-left: 1.4rem; } #nearest li { margin: .2rem 0; }
@media (max-width: 640px) {
  .gradio-container h1 { font-size: 1.25rem; }
  #banner p:first-of-type, .findings small span { display: none; }
  .card { flex-basis: 92px; } .card img { width: 82px; height: 82px; } .card span { font-size: .68rem; }
  /* The form comes below; the radiograph stays in sight while words are chosen. */
  :has(> #own) > :nth-child(n) { order: 1; } :has(> #own) > :is(#banner, #examples, #warning, .row) { order: 0; }
  .row:has(#image) { gap: .3rem; } .row:has(#image) > .column { display: contents; }
  .row:has(#image) > .column > * { flex: 1 1 100%; }
  #image { position: sticky; top: 0; z-index: 5; background: var(--body-background-fill); overflow: visible; }
  .radiograph img { max-height: 42vh; } .radiograph figcaption { font-size: .85rem; }
  #view label { padding: 4px 7px; font-size: .8rem; }
  .radiograph svg text { font-size: 24px; } .radiograph svg .box rect { stroke-width: 4; }
  .findings th { white-space: normal; font-size: .8rem; } .findings :is(th, td) { padding-right: .2rem; }
  .strip { width: 30vw; }
}
"""

# Clicks and Enter on whatever has a number; after an answer the keyboard stays where it was.
CHOOSE = """
let last = null;
element.addEventListener('click', event => {
  const target = event.target.closest('[data-index]');
  if (!target) return;
  last = target.dataset.index;
  trigger('select', {index: Number(last)});
});
element.addEventListener('keydown', event => {
  if (!event.target.matches('.word') || !['Enter', ' '].includes(event.key)) return;
  event.preventDefault();
  event.target.click();
});
watch('value', () => {
  const target = element.querySelector(`[data-index="${last}"]`);
  if (target && document.activeElement === document.body) target.focus({preventScroll: true});
});
"""

# A click into the radiograph, in its own pixels.
POINT = """
element.addEventListener('click', event => {
  const picture = event.target.closest('.picture');
  if (!picture) return;
  const box = picture.getBoundingClientRect();
  const {width, height} = picture.dataset;
  const inside = (share, count) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
  trigger('select', {index: [inside((event.clientX - box.left) / box.width, Number(width)),
                             inside((event.clientY - box.top) / box.height, Number(height))]});
});
"""
