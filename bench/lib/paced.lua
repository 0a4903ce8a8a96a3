-- Every connection waits before each request: the same moderate rate for whatever is measured.
function delay()
  return 8
end
