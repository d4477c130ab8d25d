// The shift report's form: times as people have them, sent as milliseconds since 1970.

const form = document.getElementById("shift");
const { begin, end, begin_ms, end_ms } = form.elements;

function local(ms) {
  const time = new Date(ms);
  return new Date(ms - time.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

const now_ms = Date.now();
begin.value = local(Number(begin_ms.value) || now_ms - 8 * 3600e3);
end.value = local(Number(end_ms.value) || now_ms);

function fill() {
  begin_ms.value = new Date(begin.value).getTime();
  end_ms.value = new Date(end.value).getTime();
}

form.addEventListener("submit", fill);
for (const button of form.querySelectorAll("[data-hours]"))
  button.addEventListener("click", () => {
    begin.value = local(Date.now() - Number(button.dataset.hours) * 3600e3);
    end.value = local(Date.now() + 60e3);
    form.requestSubmit();
  });
