SELECT feature, bin, upper, category FROM bins WHERE deployment = $deployment
ORDER BY feature, bin, category
